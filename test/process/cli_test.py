"""The operator's command against a running control plane: what each subcommand prints, refuses and exits with."""

import json
import os
import subprocess
import unittest

import mesh

WELL, NOT_WELL, USAGE, UNREACHABLE, NOT_IN_FORCE = range(5)


class Base(mesh.MeshTest):
    """web-1 and orders-1, of which only the former has a running sidecar."""

    @classmethod
    def arrange(cls):
        cls.mesh.ports_of("web-1", "orders-1")
        ports = cls.mesh.ports
        cls.mesh.write("mesh.yaml", mesh.service_yaml("orders", "app: orders"),
                       mesh.workload_yaml("web-1", "app: web", ports["web-1"], "web"),
                       mesh.workload_yaml("orders-1", "app: orders", ports["orders-1"], "orders"))
        cls.mesh.start_control()
        cls.mesh.start_sidecar("web-1", ["--workers", "1"])
        cls.mesh.wait_ready()

    def outrigger(self, *arguments, stdin="", control=None, environment=None):
        """(exit code, stdout, stderr)"""
        control = control or f"127.0.0.1:{self.mesh.control_admin}"
        command = [self.mesh.program("outrigger"), "--control", control, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env={
            "PATH": "/usr/bin:/bin", "HOME": self.folder, "OUTRIGGER_DATA_DIR": self.mesh.data, **(environment or {})})
        return done.returncode, done.stdout, done.stderr

    def succeed(self, *arguments, **options):
        code, out, err = self.outrigger(*arguments, **options)
        self.assertEqual(code, WELL, out + err)
        return out

    def fail_with(self, expected, text, *arguments, **options):
        """Exits with the code, prints nothing on stdout, and one line with the text on stderr."""
        code, out, err = self.outrigger(*arguments, **options)
        self.assertEqual((code, out), (expected, ""), err)
        self.assertIn(text, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("outrigger: "), err)


class CliTest(Base):
    # ---- check and status

    def test_check_finds_all_well_and_warns_of_a_proxy_that_never_came(self):
        out = self.succeed("check")
        self.assertIn("√ all 3 objects are accepted", out)
        self.assertIn("√ all 1 connected proxies run generation", out)
        self.assertIn("‼ default/orders-1 has never connected\n    start its proxy: outrigger-proxy --workload default/orders-1", out)
        self.assertTrue(out.endswith("\nStatus check results are √\n"), out)
        self.assertTrue(json.loads(self.succeed("check", "-o", "json"))["success"])

    def test_check_shows_a_broken_file_by_line_field_and_reason_and_that_the_rest_is_in_force(self):
        path = os.path.join(self.mesh.config, "broken.yaml")
        broken = mesh.service_yaml("broken", "app: x").replace("port: 80", "port: eighty")
        self.mesh.write("broken.yaml", mesh.service_yaml("whole", "app: x"), broken)
        try:
            self.eventually("the file is read", lambda: "whole" in self.succeed("get", "services"))
            code, out, _ = self.outrigger("check")
            self.assertEqual(code, NOT_WELL)
            self.assertIn(f"× rejected: {path}:13: Service default/broken: spec.ports[0].port: "
                          "must be a whole number from 1 to 65535, not \"eighty\"", out)
            self.assertIn("Status check results are ×", out)
            self.assertIn("1 rejected", self.succeed("status"))
        finally:
            os.remove(path)
            self.eventually("it is gone", lambda: "0 rejected" in self.succeed("status"))

    def test_status_is_a_table_of_proxies(self):
        lines = self.succeed("status").splitlines()
        self.assertIn("3 objects, 0 rejected, mTLS strict, trust domain cluster.local", lines[0])
        self.assertEqual(lines[2].split(), "PROXY STATE GENERATION CLUSTERS ENDPOINTS LISTENERS ROUTES CERTIFICATE PROGRAM".split())
        self.assertEqual(lines[3].split()[:2], ["default/web-1", "READY"])
        self.assertEqual(lines[4].split()[:2], ["default/orders-1", "ABSENT"])

    def test_status_as_json_and_yaml_says_the_same(self):
        status = json.loads(self.succeed("status", "-o", "json"))
        self.assertEqual(status["proxies"][0]["identity"], "spiffe://cluster.local/ns/default/sa/web")
        self.assertIn("identity: spiffe://cluster.local/ns/default/sa/web\n", self.succeed("status", "-o", "yaml"))

    # ---- apply, get, delete

    def test_an_object_is_applied_shown_changed_and_deleted(self):
        stock = mesh.service_yaml("stock", "app: stock")
        out = self.succeed("apply", "-f", "-", "--wait", stdin=stock)
        self.assertRegex(out, r"^Service default/stock created\nin force in all 1 connected proxies after \d+ ms\n$")
        self.assertEqual(self.succeed("apply", "-f", "-", stdin=stock), "Service default/stock unchanged\n")
        self.assertIn("applied/", self.succeed("get", "services"))
        self.assertEqual(self.succeed("get", "service", "stock", "-o", "yaml").strip(), stock.strip())
        self.assertEqual(json.loads(self.succeed("get", "service", "default/stock", "-o", "json"))["metadata"]["name"], "stock")
        out = self.succeed("apply", "-f", "-", stdin=stock.replace("port: 80", "port: 81"))
        self.assertEqual(out, "Service default/stock configured\n")
        self.assertIn("outbound|81||stock.default", self.succeed("config", "default/web-1"))
        out = self.succeed("delete", "service", "stock", "--wait")
        self.assertRegex(out, r"^Service default/stock deleted\nin force in all 1 connected proxies")
        self.fail_with(NOT_WELL, "Service default/stock is not declared", "get", "service", "stock")
        self.fail_with(NOT_WELL, "there is no Service default/stock", "delete", "service", "stock")

    def test_a_folder_is_applied_whole_and_a_wrong_file_not_at_all(self):
        folder = os.path.join(self.folder, "more")
        os.makedirs(folder)
        for name, text in {"a.yaml": mesh.service_yaml("alpha", "app: a"), "notes.txt": "not read"}.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                out.write(text)
        self.assertEqual(self.succeed("apply", "-f", folder), "Service default/alpha created\n")
        self.succeed("delete", "service", "alpha")

        wrong = os.path.join(folder, "a.yaml")
        with open(wrong, "a", encoding="utf-8") as out:
            out.write("---\n" + mesh.service_yaml("beta", "app: b").replace("targetPort", "tragetPort"))
        code, out, err = self.outrigger("apply", "-f", wrong)
        self.assertEqual((code, out), (NOT_WELL, ""))
        self.assertIn(f"{wrong}:13: Service default/beta: spec.ports[0].tragetPort: ", err)
        self.assertIn("did you mean \"targetPort\"?", err)
        self.assertIn(f"nothing of {wrong} was applied", err)
        self.fail_with(NOT_WELL, "Service default/alpha is not declared", "get", "service", "alpha")

    def test_what_another_file_declares_is_neither_applied_nor_deleted(self):
        place = os.path.join(self.mesh.config, "mesh.yaml") + ":1"
        self.fail_with(NOT_WELL, f"Service default/orders is declared in {place}; change it there", "apply", "-f", "-",
                       stdin=mesh.service_yaml("orders", "app: others"))
        self.fail_with(NOT_WELL, f"Service default/orders is declared in {place}; remove it there", "delete", "service", "orders")

    def test_what_cannot_be_got_or_read_is_one_line(self):
        self.fail_with(NOT_WELL, "there is no kind \"gadget\"", "get", "gadget")
        self.fail_with(USAGE, "/nowhere.yaml cannot be read", "apply", "-f", "/nowhere.yaml")
        self.fail_with(USAGE, "holds no *.yaml", "apply", "-f", self.mesh.logs)

    # ---- config and token create

    def test_config_shows_what_a_proxy_runs(self):
        out = self.succeed("config", "default/web-1")
        for heading in ("LISTENER", "ROUTES", "CLUSTER", "ENDPOINTS OF"):
            self.assertRegex(out, rf"(?m)^{heading} ")
        self.assertIn("outbound|80||orders.default", out)
        self.assertIn("spiffe://cluster.local/ns/default/sa/orders", out)
        config = json.loads(self.succeed("config", "web-1", "-o", "json"))
        self.assertEqual(config["workload"], "default/web-1")
        self.assertEqual([one["name"] for one in config["listeners"]], ["inbound", "outbound"])
        self.fail_with(NOT_WELL, "nobody declared a Workload (or a Pod with a sidecar) default/nobody", "config", "default/nobody")

    def test_a_token_is_one_line_with_the_roots_hash(self):
        root = json.loads(self.succeed("status", "-o", "json"))["certificates"]["root_spki_sha256"]
        token = self.succeed("token", "create", "--workload", "default/orders-1")
        self.assertRegex(token, rf"^[A-Za-z0-9_-]{{43}}\.{root}\n$")
        self.assertNotEqual(token, self.succeed("token", "create", "--workload", "default/orders-1"))
        self.fail_with(NOT_WELL, "workload must be NAMESPACE/NAME", "token", "create", "--workload", "orders-1")
        self.fail_with(USAGE, "--workload is required", "token", "create")

    def test_a_token_may_come_before_its_workload_with_a_note(self):
        code, out, err = self.outrigger("token", "create", "--workload", "default/later")
        self.assertEqual((code, out.count("\n")), (WELL, 1))
        self.assertIn("note: no Workload or Pod default/later is declared yet", err)

    # ---- rights, reach and flags

    def test_a_write_needs_the_admin_token_and_says_where_it_looked(self):
        elsewhere = {"OUTRIGGER_DATA_DIR": "/nowhere"}
        for command in (("apply", "-f", "-"), ("delete", "service", "orders"), ("token", "create", "--workload", "default/web-1")):
            self.fail_with(USAGE, "no admin token: cannot read /nowhere/admin.token", *command, environment=elsewhere)
            self.fail_with(NOT_WELL, "Authorization", *command, environment={"OUTRIGGER_TOKEN": "wrong"},
                           stdin=mesh.service_yaml("stock", "app: stock"))
        with open(os.path.join(self.mesh.data, "admin.token"), encoding="utf-8") as secret:
            rights = {**elsewhere, "OUTRIGGER_TOKEN": secret.read().strip()}
        self.succeed("token", "create", "--workload", "default/web-1", environment=rights)
        self.succeed("status", environment=elsewhere)

    def test_a_control_plane_that_is_not_there_is_exit_code_3(self):
        dead = f"127.0.0.1:{mesh.free_ports(1)[0]}"
        for command in (("status",), ("get", "services"), ("config", "default/web-1")):
            self.fail_with(UNREACHABLE, f"the control plane at {dead} does not answer", *command, control=dead)
        code, out, _ = self.outrigger("check", control=dead)
        self.assertEqual(code, UNREACHABLE)
        self.assertIn(f"× the control plane at {dead} does not answer", out)
        self.fail_with(USAGE, "--control: ", "status", control="nonsense")

    def test_wrong_flags_are_exit_code_2_and_one_line(self):
        self.fail_with(USAGE, "there is no subcommand \"frobnicate\"", "frobnicate")
        self.fail_with(USAGE, "subcommand is required")
        self.fail_with(USAGE, "--output: xml not in {table,json,yaml}", "status", "-o", "xml")
        self.fail_with(USAGE, "\"soon\" is no duration", "check", "--timeout", "soon")
        self.fail_with(USAGE, "--file is required", "apply")
        self.fail_with(USAGE, "--file is required", "apply", "mesh.yaml")
        self.fail_with(USAGE, "there is no subcommand \"list\"", "token", "list")
        self.fail_with(USAGE, "subcommand is required", "-f", "mesh.yaml")

    def test_help_has_examples_and_exit_codes(self):
        out = self.succeed("--help")
        for text in ("outrigger apply -f mesh.yaml --wait", "Exit codes: 0 all is well", "token create --workload"):
            self.assertIn(text, out)
        self.assertRegex(self.succeed("--version"), r"^outrigger \d+\.\d+\.\d+\n$")


class WaitTest(Base):
    """apply --wait when a proxy does not follow: its process is stopped in its tracks."""

    def test_a_proxy_that_does_not_follow_is_named_with_exit_code_4(self):
        proxy = self.mesh.sidecars["web-1"].child
        proxy.send_signal(19)  # SIGSTOP
        try:
            late = mesh.service_yaml("late", "app: late")
            code, out, err = self.outrigger("apply", "-f", "-", "--wait", "--timeout", "300ms", stdin=late)
            self.assertEqual(code, NOT_IN_FORCE, out + err)
            self.assertIn("Service default/late created", out)
            self.assertIn("default/web-1", out)
        finally:
            proxy.send_signal(18)  # SIGCONT
        self.succeed("delete", "service", "late", "--wait")


if __name__ == "__main__":
    unittest.main()
