"""Bad input to the three programs: one line on stderr that says what to do, exit code 2, and nothing else is disturbed."""

import os
import re
import socket
import stat
import subprocess
import tempfile
import unittest

import mesh
from wire import PathApp

PATIENCE = 60


class Program(unittest.TestCase):
    """Runs one program with flags and looks at how it ends. A folder of its own for each case."""
    name = None

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="flags-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = self.temporary.name
        self.ports = mesh.free_ports(4)

    def path(self, name, contents=None):
        path = os.path.join(self.folder, name)
        if contents is not None:
            with open(path, "w") as file:
                file.write(contents)
        return path

    def occupied(self):
        """The address of a port that somebody else listens on."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return "127.0.0.1:%d" % taken.getsockname()[1]

    def flags(self):
        return {}

    def play(self, *more, **changes):
        """`changes`: flags of flags() replaced, or left out when None."""
        flags = {**self.flags(), **{name.replace("_", "-"): value for name, value in changes.items()}}
        command = [mesh.binaries()[self.name]]
        for name, value in flags.items():
            command += [] if value is None else ["--" + name, value]
        return subprocess.run([*command, *more], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                              env={"PATH": os.environ.get("PATH", ""), "HOME": self.folder}, cwd=self.folder)

    def refused(self, says, *more, code=2, **changes):
        done = self.play(*more, **changes)
        lines = done.stderr.splitlines()
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith(self.name + ": "), lines[0])
        self.assertRegex(lines[0], says)
        self.assertEqual(done.stdout, "")

    def helps(self):
        done = self.play("--help", **{name.replace("-", "_"): None for name in self.flags()})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("Examples:\n  " + self.name, done.stdout)
        self.assertIn("Exit codes:", done.stdout)
        done = self.play("--version", **{name.replace("-", "_"): None for name in self.flags()})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, rf"^{self.name} \d+\.\d+\.\d+\n$")


class ProxyTest(Program):
    name = "outrigger-proxy"

    def flags(self):
        found = {kind: f"127.0.0.1:{port}" for kind, port in zip(("outbound", "inbound", "admin", "telemetry"), self.ports)}
        return {"control": "127.0.0.1:9", "workload": "default/orders-1", "data-dir": self.path("data"), **found}

    def test_help_has_examples_and_the_version_is_told(self):
        self.helps()

    def test_flags(self):
        for says, more in (
                (r"--nonsense", ["--nonsense"]),
                (r"surplus", ["surplus"]),
                (r"--token-file needs a value", ["--token-file"]),
                (r"--workload is given twice", ["--workload", "default/b"]),
                (r"--workers: .* 0 to 256", ["--workers", "-1"]),
                (r"--workers: .* 0 to 256", ["--workers", "many"]),
                (r"--drain-time: .* 0 to 3600", ["--drain-time", "99999"]),
                (r"--log-level: loud not in \{debug,info,warning,error\}", ["--log-level", "loud"]),
                (r"--access-log-format: xml not in \{json,text\}", ["--access-log-format", "xml"]),
        ):
            with self.subTest(more):
                self.refused(says, *more)

    def test_what_is_required(self):
        self.refused("--control is required", control=None)
        self.refused("--workload is required", workload=None)

    def test_control(self):
        for control in ("localhost", "127.0.0.1:", ":15010", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", "http://127.0.0.1:15010",
                        "::1:15010"):
            with self.subTest(control):
                self.refused("--control must be HOST:PORT, as in 127.0.0.1:15010", control=control)

    def test_workload(self):
        for workload in ("orders-1", "default/", "/orders-1", "a/b/c", "../etc", "default/Orders", "default/a b"):
            with self.subTest(workload):
                self.refused("--workload must be NAMESPACE/NAME, as in default/orders-1", workload=workload)

    def test_addresses(self):
        for kind in ("outbound", "inbound", "admin", "telemetry"):
            for address in ("127.0.0.1", "127.0.0.1:70000", "some-name:80", "127.0.0.1:http", ""):
                with self.subTest(kind=kind, address=address):
                    self.refused(f"--{kind}: .*is not an address", **{kind: address})
        for address in ("0.0.0.0:15000", ":15000", "10.1.2.3:15000", "[::]:15000"):
            with self.subTest(admin=address):
                self.refused("--admin must be a loopback address or unix:PATH", admin=address)
        self.refused("--app: 'here' is not an address", app="here")

    def test_a_port_in_use_is_named(self):
        for kind in ("outbound", "inbound", "admin", "telemetry"):
            with self.subTest(kind):
                address = self.occupied()
                self.refused(rf"{re.escape(address)}.*in use", **{kind: address, "token_file": self.token()})

    def token(self):
        return self.path("token", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ." + "ab" * 32 + "\n")

    def test_tokens(self):
        self.refused("no usable certificate is kept in .*data and no --token-file was given: make a token with `outrigger token create "
                     "--workload default/orders-1`")
        self.refused("--token-file: cannot read .*none: No such file", token_file=self.path("none"))
        self.refused("--token-file: cannot read .*: Is a directory", token_file=self.folder)
        for contents in ("", "x", "a.b", "\0\n", "x" * 100000):
            with self.subTest(contents[:9]):
                self.refused(r"--token-file.*(make one with `outrigger token create`|larger than)", token_file=self.path("bad", contents))

    def test_the_secret_of_a_broken_token_is_not_printed(self):
        done = self.play(token_file=self.path("bad", "verysecret.nothex"))
        self.assertEqual(done.returncode, 2)
        self.assertNotIn("verysecret", done.stderr + done.stdout)

    def test_a_token_that_may_not_be_read(self):
        if os.geteuid() == 0:
            return self.assertTrue(stat.S_ISREG(os.stat(self.token()).st_mode))  # root reads everything
        path = self.token()
        os.chmod(path, 0)
        return self.refused("--token-file: cannot read .*: Permission denied", token_file=path)

    def test_folders_and_files(self):
        self.refused("not-a-folder", data_dir=self.path("not-a-folder", "a file\n"), token_file=self.token())
        self.refused("/proc/nowhere", data_dir="/proc/nowhere", token_file=self.token())
        self.refused("--control-ca.*no certificate in PEM", control_ca=self.path("ca", "nothing\n"))
        self.refused("--access-log: .*nowhere/access.log cannot be opened", access_log=self.path("nowhere/access.log"))


    # ---- --bootstrap FILE

    def bootstrap(self, text):
        return self.path("bootstrap.yaml", text)

    def test_a_bootstrap_file_is_read_strictly(self):
        for says, text in (
                (r"--bootstrap: line 2: 'controll' is no setting", "workers: 1\ncontroll: 127.0.0.1:9\n"),
                (r"--bootstrap: line 1: 'bootstrap' is no setting", "bootstrap: x\n"),
                (r"--bootstrap: line 2: 'workers' is given twice", "workers: 1\nworkers: 2\n"),
                (r"--bootstrap: line 1: 'workers' must be one value", "workers: [1]\n"),
                (r"--bootstrap: line 2: ", "workers: 1\n  a: [\n"),
                (r"--bootstrap: the file must be a map", "- 1\n"),
                (r"--workers: .* 0 to 256", "workers: 1000\n"),
        ):
            with self.subTest(text):
                self.refused(says, bootstrap=self.bootstrap(text))
        self.refused(r"none.yaml", bootstrap=self.path("none.yaml"))

    def test_a_bootstrap_file_gives_what_the_command_line_leaves_out(self):
        self.refused("--workload must be NAMESPACE/NAME.*'a/b/c'", workload=None, bootstrap=self.bootstrap("workload: a/b/c\n"))
        self.refused("--workload must be NAMESPACE/NAME.*'x'", workload="x", bootstrap=self.bootstrap("workload: a/b/c\n"))

    def test_static_resources_are_read_strictly(self):
        for says, text in (
                (r"staticResources: must be a map", "staticResources: []\n"),
                (r"staticResources: secrets: is none of clusters", "staticResources: {secrets: []}\n"),
                (r"staticResources: clusters\[0\]: .*nonsense", "staticResources: {clusters: [{name: a, nonsense: 1}]}\n"),
                (r"lack", "staticResources: {clusters: [{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}]}\n"),
        ):
            with self.subTest(text):
                self.refused(says, control=None, bootstrap=self.bootstrap(text))
        self.refused("--control and staticResources of --bootstrap exclude each other", bootstrap=self.bootstrap("staticResources: {}\n"))


STATIC = """\
workload: default/alone-1
workers: 1
staticResources:
  clusters:
    - name: app
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: app
        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %(app)d}}}}]}]
  listeners:
    - name: outbound
      address: {socket_address: {address: 127.0.0.1, port_value: 15001}}
      metadata: {filter_metadata: {outrigger.dev: {direction: outbound}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: outbound
                rds: {config_source: {ads: {}, resource_api_version: V3}, route_config_name: outbound}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  routes:
    - name: outbound
      virtual_hosts: [{name: app, domains: [app], routes: [{match: {prefix: /}, route: {cluster: app}, name: default}]}]
"""


class AloneTest(unittest.TestCase):
    """A proxy without a control plane runs on what its bootstrap file says."""

    def test_it_is_ready_serves_shows_its_configuration_and_ends_well(self):
        with tempfile.TemporaryDirectory(prefix="alone-") as folder:
            outbound, inbound, admin, telemetry, app_port = mesh.free_ports(5)
            app = PathApp(app_port, {"/": lambda wire, _: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nalone")})
            self.addCleanup(app.close)
            with open(os.path.join(folder, "alone.yaml"), "w") as file:
                file.write(STATIC % {"app": app_port})
            command = [mesh.binaries()["outrigger-proxy"], "--bootstrap", file.name, "--data-dir", os.path.join(folder, "data")]
            for kind, port in (("outbound", outbound), ("inbound", inbound), ("admin", admin), ("telemetry", telemetry)):
                command += ["--" + kind, f"127.0.0.1:{port}"]
            proxy = mesh.Process("alone", command, folder)
            proxy.start()
            self.addCleanup(proxy.stop)

            def ready():
                proxy.check_alive()
                return mesh.answers(admin, "/ready")
            mesh.wait_for("it is ready", ready)
            self.assertEqual(mesh.get(outbound, "/", headers={"Host": "app"}), (200, b"alone"))
            self.assertIn(b'"name": "app"', mesh.get(admin, "/config_dump")[1])
            self.assertEqual(proxy.stop(), 0)


class ControlTest(Program):
    name = "outrigger-control"

    def flags(self):
        os.makedirs(self.path("mesh"), exist_ok=True)
        return {"config-dir": self.path("mesh"), "data-dir": self.path("data"), "xds": f"127.0.0.1:{self.ports[0]}",
                "admin": f"127.0.0.1:{self.ports[1]}"}

    def test_help_has_examples_and_the_version_is_told(self):
        self.helps()

    def test_flags(self):
        self.refused("--config-dir is required", config_dir=None)
        for says, more in (
                (r"--nonsense", ["--nonsense"]),
                (r"--source: kubernetes not in \{files\}", ["--source", "kubernetes"]),
                (r"--log-level: loud not in", ["--log-level", "loud"]),
                (r"--certificate-lifetime: .* no duration, as in 24h", ["--certificate-lifetime", "long"]),
                (r"trust domain must be", ["--trust-domain", "No Domain"]),
        ):
            with self.subTest(more):
                self.refused(says, *more)

    def test_addresses(self):
        for kind in ("xds", "admin"):
            self.refused(f"--{kind}: 'here' is not an address", **{kind: "here"})
            address = self.occupied()
            self.refused(rf"{re.escape(address)}.*in use", **{kind: address})
        self.refused("loopback", admin="0.0.0.0:15014")
        self.refused("loopback", xds_plaintext="0.0.0.0:15011")

    def test_a_missing_folder_leaves_nothing_behind(self):
        self.refused("nowhere", config_dir=self.path("nowhere"))
        self.refused("a-file", config_dir=self.path("a-file", "x\n"))
        self.refused("/proc/nowhere", data_dir="/proc/nowhere")
        self.assertFalse(os.path.exists(self.path("nowhere")))


class CommandTest(Program):
    name = "outrigger"

    def flags(self):
        return {"control": f"127.0.0.1:{self.ports[0]}", "data-dir": self.path("data")}

    def test_help_has_examples_and_the_version_is_told(self):
        self.helps()

    def test_flags(self):
        for says, more in (
                ("subcommand is required", []),
                ("--file is required", ["apply"]),
                ("--workload is required", ["token", "create"]),
                (r"--output: xml not in \{table,json,yaml\}", ["status", "-o", "xml"]),
                ("none.yaml cannot be read", ["apply", "-f", self.path("none.yaml")]),
                ("no admin token", ["token", "create", "--workload", "default/a"]),
                ("--control", ["--control"]),
        ):
            with self.subTest(more):
                self.refused(says, *more)
        self.refused("--control", "status", control="nowhere")

    def test_a_control_plane_that_is_away_is_exit_code_3(self):
        self.refused("does not answer .*start outrigger-control, or name its admin address with --control", "status", code=3)


class BrokenObjectTest(mesh.MeshTest):
    """A broken file is refused by its place and field, and what is in force stays in force."""

    @classmethod
    def arrange(cls):
        cls.start_pair()

    def test_a_broken_file_is_told_with_its_place_and_disturbs_nothing(self):
        generation = self.mesh.status()["generation"]
        self.mesh.write("broken.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: [}\n")
        self.mesh.write("wrong.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: wrong}\nspec:\n  ports:\n    - {port: 700000}\n")

        def rejected():
            text = self.outrigger("check").stdout
            return text if "broken.yaml" in text and "wrong.yaml" in text else None
        text = mesh.wait_for("both files are told of", rejected)
        self.assertRegex(text, r"broken\.yaml:3")
        self.assertRegex(text, r"wrong\.yaml:6.*port")
        self.assertEqual(self.outrigger("check").returncode, 1)
        self.assertEqual(self.mesh.status()["generation"], generation)
        self.assertTrue(self.mesh.sidecar_ready("client-1"))

    def outrigger(self, *arguments):
        return subprocess.run([self.mesh.program("outrigger"), "--control", f"127.0.0.1:{self.mesh.control_admin}", "--data-dir",
                               self.mesh.data, *arguments], capture_output=True, text=True, timeout=PATIENCE)

    def test_apply_refuses_a_broken_file_and_keeps_nothing_of_it(self):
        path = os.path.join(self.folder, "apply.yaml")
        with open(path, "w") as file:
            file.write("apiVersion: v1\nkind: Service\nmetadata: {name: half}\nspec: {ports: [{port: 80}], selector: {a: b}}\n---\n"
                       "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: none}]}\n")
        done = self.outrigger("apply", "-f", path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r":9: Service default/other: spec.ports\[0\].port: must be a whole number")
        self.assertRegex(done.stderr, r"nothing of .*apply\.yaml was applied")
        self.assertNotIn("half", self.outrigger("get", "services").stdout)


if __name__ == "__main__":
    unittest.main()
