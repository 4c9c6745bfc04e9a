"""What is declared changes under load: the new is in force, nothing fails, and what is broken changes nothing."""

import os
import unittest

import mesh
from steady import Steady
from wire import PathApp

ROUTE = """\
    apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: {{name: orders, namespace: default}}
    spec:
      parentRefs: [{{group: "", kind: Service, name: orders, port: 80}}]
      rules:
        - backendRefs: [{{name: orders-{version}, port: 80}}]
    """
BROKEN = """\
    apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: {name: orders, namespace: default}
    spec:
      parentRefs: [{group: "", kind: Service, name: orders, port: 80}]
      rules:
        - matches: [{path: {type: Prefixx, value: /}}]
          backendRefs: [{name: orders-v1, port: 80}]
    """


class RoutesTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.mesh.ports_of("client-1", "orders-v1", "orders-v2")
        ports = cls.mesh.ports
        cls.mesh.write("mesh.yaml", mesh.service_yaml("orders", "app: orders"),
                       mesh.service_yaml("orders-v1", "app: orders, version: v1"),
                       mesh.service_yaml("orders-v2", "app: orders, version: v2"),
                       mesh.workload_yaml("client-1", "app: client", ports["client-1"], "client", calls="orders"),
                       mesh.workload_yaml("orders-v1", "app: orders, version: v1", ports["orders-v1"], "orders"),
                       mesh.workload_yaml("orders-v2", "app: orders, version: v2", ports["orders-v2"], "orders"))
        cls.mesh.start_control()
        for name in ports:
            cls.mesh.start_sidecar(name, ["--workers", "1"])
        cls.mesh.wait_ready()
        for version in ("v1", "v2"):
            cls.add_app(PathApp(ports["orders-" + version]["app"], {
                "/": lambda wire, request, version=version: wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{version}")}))

    def setUp(self):
        for file in ("route.yaml", "more.yaml"):
            if os.path.exists(os.path.join(self.mesh.config, file)):
                os.remove(os.path.join(self.mesh.config, file))

    def only(self, load, version):
        """Looks at slices of the load until one was answered by that version alone."""
        state = {"before": load.counts(), "goal": load.answered + 50}

        def holds():
            if load.failures:
                return True
            if load.answered < state["goal"]:
                return False
            now = load.counts()
            news = now - state["before"]
            state.update(before=now, goal=load.answered + 50)
            return set(news) == {version}

        self.eventually(f"all requests go to {version}", holds)

    def rejected(self):
        return self.mesh.status()["rejected"]

    def test_a_route_that_changes_under_load_is_in_force_without_a_failure(self):
        with Steady(self.mesh.ports["client-1"]["listen"]) as load:
            self.eventually("both versions answer", lambda: len(load.counts()) == 2 or load.failures)
            for version in ("v1", "v2") * 4:
                self.mesh.write("route.yaml", ROUTE.format(version=version))
                self.only(load, version)
            os.remove(os.path.join(self.mesh.config, "route.yaml"))
            before = load.counts()
            self.eventually("both versions answer again", lambda: len(load.counts() - before) == 2 or load.failures)
        self.assertEqual(load.failures, [])

    def test_a_broken_file_is_rejected_by_file_line_and_field_and_changes_nothing(self):
        with Steady(self.mesh.ports["client-1"]["listen"]) as load:
            self.mesh.write("route.yaml", ROUTE.format(version="v2"))
            self.only(load, "v2")
            self.mesh.write("route.yaml", BROKEN)
            self.eventually("the route is rejected", self.rejected)
            [problem] = self.rejected()
            self.assertEqual(os.path.basename(problem["file"]), "route.yaml")
            self.assertEqual((problem["line"], problem["field"]), (7, "spec.rules[0].matches[0].path.type"))
            self.assertIn("Prefixx", problem["reason"])
            self.assertTrue(problem["previous_in_force"])
            before = load.counts()
            self.eventually("requests go on", load.progressed(200))
            self.assertEqual(set(load.counts() - before), {"v2"}, "the former route is no longer in force")
            # A file that is no YAML at all, beside it; and then both are mended.
            self.mesh.write("more.yaml", "kind: [oh: no\n")
            self.eventually("both are rejected", lambda: len(self.rejected()) == 2)
            self.mesh.write("more.yaml", "")
            self.mesh.write("route.yaml", ROUTE.format(version="v1"))
            self.eventually("nothing is rejected", lambda: not self.rejected())
            self.only(load, "v1")
        self.assertEqual(load.failures, [])


if __name__ == "__main__":
    unittest.main()
