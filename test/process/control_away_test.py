"""The control plane is away: what runs goes on, what restarts comes back with what it keeps, and needs no token for it."""

import os
import unittest

import mesh
from steady import Steady
from wire import PathApp


class ControlAwayTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.start_pair()
        cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}))

    def restart_without_token(self, name):
        sidecar = self.mesh.sidecars[name]
        at = sidecar.command.index("--token-file")
        os.remove(sidecar.command[at + 1])
        del sidecar.command[at:at + 2]
        sidecar.kill()
        sidecar.start()

    def keeps_its_configuration(self, name):
        folder = os.path.join(self.mesh.folder, name, "xds")
        return os.path.isdir(folder) and len(os.listdir(folder)) >= 4  # listeners, routes, clusters, endpoints

    def test_proxies_serve_restart_and_return_without_it(self):
        names = ("client-1", "orders-1")
        port = self.mesh.ports["client-1"]["listen"]
        self.eventually("the sidecars keep their configuration", lambda: all(map(self.keeps_its_configuration, names)))
        with Steady(port) as load:
            self.eventually("requests flow", load.progressed(100))
            self.mesh.control.kill()
            self.eventually("requests go on", load.progressed(300))
        self.assertEqual(load.failures, [])

        for name in names:
            self.restart_without_token(name)
        self.mesh.wait_ready(*names)
        with Steady(port) as load:
            self.eventually("the restarted pair serves", load.progressed(300))
            self.mesh.control.start()
            mesh.wait_for("the control plane is ready again", self.mesh.control_ready)
            mesh.wait_for("both sidecars are connected again", lambda: self.mesh.connected_proxies() == 2)
            self.eventually("requests go on", load.progressed(100))
        self.assertEqual(load.failures, [])


if __name__ == "__main__":
    unittest.main()
