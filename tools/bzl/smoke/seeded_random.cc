// BoringSSL's source of entropy, defined ahead of the library so that the linker never takes the library's own. The
// simulation seeds TLS in this way; this copy only proves that the seam holds.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bssl {

void CRYPTO_init_sysrand();
void CRYPTO_sysrand(uint8_t* out, size_t size);

void CRYPTO_init_sysrand() {}

void CRYPTO_sysrand(uint8_t* out, size_t size) { std::memset(out, 7, size); }

}  // namespace bssl
