"""Who may talk to whom: plaintext, certificates of somebody else, and endpoints that are not who they should be."""

import os
import socket
import ssl
import unittest

import mesh
from wire import PathApp, Wire

SNI = "80.orders.default.svc.outrigger.internal"
PERMISSIVE = """\
    apiVersion: outrigger.dev/v1
    kind: MeshPolicy
    metadata: {name: mesh}
    spec: {mtls: permissive}
    """


class MtlsTest(mesh.MeshTest):
    """Beside the pair: `claimed-1`, whose port is held by a sidecar of the same mesh but of another service account, and
    `foreign-1`, whose port is held by a sidecar of another mesh with the same names."""

    @classmethod
    def arrange(cls):
        cls.mesh.ports_of("client-1", "orders-1", "claimed-1", "impostor-1", "foreign-1")
        ports = cls.mesh.ports
        claimed, impostor = ports["claimed-1"], ports["impostor-1"]
        cls.mesh.write(
            "mesh.yaml", *(mesh.service_yaml(name, f"app: {name}") for name in ("orders", "claimed", "foreign")),
            mesh.workload_yaml("client-1", "app: client", ports["client-1"], "client", calls="orders"),
            mesh.workload_yaml("orders-1", "app: orders", ports["orders-1"], "orders"),
            # The endpoint of `claimed` is declared at the port where the impostor's sidecar listens.
            mesh.workload_yaml("claimed-1", "app: claimed", {**claimed, "inbound": impostor["inbound"]}, "claimed"),
            mesh.workload_yaml("impostor-1", "app: impostor", {**impostor, "inbound": claimed["inbound"]}, "impostor"),
            mesh.workload_yaml("foreign-1", "app: foreign", ports["foreign-1"], "foreign"))
        cls.mesh.start_control()
        for name in ("client-1", "orders-1", "impostor-1"):
            cls.mesh.start_sidecar(name, ["--workers", "1"])
        cls.mesh.wait_ready()
        cls.other = cls.start_other(ports["foreign-1"])
        cls.app = cls.add_app(PathApp(ports["orders-1"]["app"], {
            "/": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}))

    @classmethod
    def start_other(cls, ports, name="foreign-1"):
        """Another mesh with a root of its own; its workload holds the port that ours declares."""
        other = mesh.LocalMesh(os.path.join(cls.folder, "other"), mesh.binaries())
        other.ports[name] = ports
        other.write("mesh.yaml", mesh.workload_yaml(name, "app: foreign", ports, "foreign"))
        cls.addClassCleanup(other.stop)
        other.start_control()
        other.start_sidecar(name, ["--workers", "1"])
        other.wait_ready()
        return other

    def inbound(self):
        return self.mesh.ports["orders-1"]["inbound"]

    def seen_by_application(self):
        return len(self.app.requests)

    def call_as(self, folder, server_name=SNI):
        """A caller of our own making on orders' inbound port, with the key and leaf that lie in `folder`, or with none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # this test looks at what the callee does
        context.set_alpn_protocols(["http/1.1"])
        if folder is not None:
            context.load_cert_chain(os.path.join(folder, "leaf.pem"), os.path.join(folder, "key.pem"))
        plain = socket.create_connection(("127.0.0.1", self.inbound()), 20)
        try:
            return Wire(context.wrap_socket(plain, server_hostname=server_name))
        except BaseException:
            plain.close()
            raise

    def assert_refused(self, folder):
        before = self.seen_by_application()
        # In TLS 1.3 the client's side is done before the server has judged the certificate: the refusal comes with the first read.
        with self.assertRaises((ssl.SSLError, ConnectionError, mesh.Closed)), self.call_as(folder) as wire:
            wire.get("/")
        self.assertEqual(self.seen_by_application(), before)

    # ---- callers

    def test_a_caller_with_a_certificate_of_the_mesh_is_let_in(self):
        with self.call_as(os.path.join(self.mesh.folder, "client-1")) as wire:
            self.assertEqual(wire.get("/").status, 200)
        self.assertIn("sa/client", self.app.requests[-1].get("x-forwarded-client-cert"))

    def test_a_caller_with_a_certificate_of_another_authority_is_refused(self):
        self.assert_refused(os.path.join(self.other.folder, "foreign-1"))

    def test_a_caller_without_a_certificate_is_refused(self):
        self.assert_refused(None)

    def test_a_workload_answers_for_its_own_services_only(self):
        before = self.seen_by_application()
        try:
            with self.call_as(os.path.join(self.mesh.folder, "client-1"), "80.claimed.default.svc.outrigger.internal") as wire:
                response = wire.get("/")
                self.assertEqual((response.status, response.get("x-outrigger-reason")), (421, "misdirected"))
        except (ssl.SSLError, ConnectionError, mesh.Closed):
            pass  # not even the handshake: as good
        self.assertEqual(self.seen_by_application(), before)

    # ---- plaintext

    def plaintext(self):
        with Wire(self.inbound()) as wire:
            return wire.get("/", headers="x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n")

    def test_plaintext_is_refused_in_strict_mode_and_taken_in_permissive_mode(self):
        before = self.seen_by_application()
        refused = self.plaintext()
        self.assertEqual((refused.status, refused.get("x-outrigger-reason")), (403, "mtls-required"))
        self.assertIn("mutual TLS", refused.body.decode())
        self.assertEqual(self.seen_by_application(), before)

        self.mesh.write("policy.yaml", PERMISSIVE)
        self.eventually("plaintext is taken", lambda: self.plaintext().status == 200)
        self.assertIsNone(self.app.requests[-1].get("x-forwarded-client-cert"), "an identity that nobody proved")
        with self.call() as wire:
            self.assertEqual(wire.get("/").status, 200)  # mutual TLS goes on beside it
        self.assertIn("sa/client", self.app.requests[-1].get("x-forwarded-client-cert"))

        os.remove(os.path.join(self.mesh.config, "policy.yaml"))
        self.eventually("plaintext is refused again", lambda: self.plaintext().status == 403)

    # ---- callees

    def ask(self, host):
        with Wire(self.mesh.ports["client-1"]["outbound"]) as wire:
            return wire.get("/", host=host)

    def test_an_endpoint_of_another_service_account_is_refused_by_the_caller_and_both_are_named(self):
        response = self.ask("claimed")
        self.assertEqual((response.status, response.get("x-outrigger-reason")), (503, "tls-failed"), response.body)
        for name in ("sa/claimed", "sa/impostor"):
            self.assertIn(name, response.body.decode())

    def test_an_endpoint_with_a_certificate_of_another_authority_is_refused_by_the_caller(self):
        response = self.ask("foreign")
        self.assertEqual((response.status, response.get("x-outrigger-reason")), (503, "tls-failed"), response.body)
        self.assertRegex(response.body.decode(), "certificate|chain|root")


class OtherTrustDomainTest(mesh.MeshTest):
    control_flags = ("--trust-domain", "other.example")

    @classmethod
    def arrange(cls):
        cls.start_pair()

    def test_identities_are_of_the_declared_trust_domain(self):
        app = self.add_app(PathApp(self.mesh.ports["orders-1"]["app"], {
            "/": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}))
        with self.call() as wire:
            self.assertEqual(wire.get("/").status, 200)
        self.assertIn("URI=spiffe://other.example/ns/default/sa/client", app.requests[-1].get("x-forwarded-client-cert"))


if __name__ == "__main__":
    unittest.main()
