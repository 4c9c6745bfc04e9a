// The smallest program with TLS in it: its generated program_loads_test shows what every program of ours may load.
#include <openssl/crypto.h>

#include <iostream>

int main() { std::cout << OpenSSL_version(OPENSSL_VERSION) << "\n"; }
