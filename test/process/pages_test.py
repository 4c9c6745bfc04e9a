"""The admin and telemetry pages of a sidecar that carries traffic, as operators and their tools read them."""

import http.client
import json
import os
import re
import subprocess
import unittest

import mesh
from wire import PathApp

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)*)\})? (\S+)$')


def parse_exposition(text):
    """Prometheus text format 0.0.4, strictly: families with their samples; what breaks a rule raises."""
    families, seen, current = {}, set(), None
    if not text.endswith("\n"):
        raise ValueError("no line feed at the end")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = line.split(" ")[2]
            if current in families:
                raise ValueError(f"{current} comes twice")
            families[current] = {"help": line.split(" ", 3)[3], "type": None, "samples": {}}
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name != current or families[name]["type"] is not None:
                raise ValueError(f"TYPE of {name} out of place")
            families[name]["type"] = kind
        else:
            match = SAMPLE.match(line)
            if not match:
                raise ValueError(f"not a sample: {line}")
            name, labels, value = match.groups()
            family = families[current]
            suffixes = ("_bucket", "_sum", "_count") if family["type"] == "histogram" else ("",)
            if name not in [current + suffix for suffix in suffixes]:
                raise ValueError(f"{name} stands under {current}")
            if (name, labels) in seen:
                raise ValueError(f"comes twice: {line}")
            seen.add((name, labels))
            family["samples"][(name, labels)] = float(value)
    return families


class PagesTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.start_pair(client_flags=["--access-log", "-"])
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/": lambda wire, _: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "/broken": lambda wire, _: wire.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        }))
        with mesh.Wire(cls.mesh.ports["client-1"]["listen"]) as wire:
            for _ in range(10):
                assert wire.get("/").status == 200
            assert wire.get("/broken?token=hunter2").status == 500

    def post(self, name, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.mesh.ports[name]["admin"], timeout=20)
        self.addCleanup(connection.close)
        connection.request("POST", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def json(self, name, path):
        return json.loads(self.admin(name, path))

    def telemetry(self, name, path):
        return mesh.get(self.mesh.ports[name]["telemetry"], path)

    # ---- what people look at first

    def test_ready_is_LIVE_on_both_ports(self):
        self.assertEqual(self.admin("client-1", "/ready"), "LIVE\n")
        self.assertEqual(self.telemetry("client-1", "/ready"), (200, b"LIVE\n"))
        self.assertEqual(self.telemetry("client-1", "/live"), (200, b"LIVE\n"))

    def test_the_index_links_every_page_and_names_every_change(self):
        for path in ("/", "/help"):
            text = self.admin("client-1", path)
            for link in re.findall(r'href="([^"]+)"', text):
                self.admin("client-1", link)
            for page in ("/ready", "/server_info", "/stats", "/stats/prometheus", "/clusters", "/listeners", "/config_dump", "/certs",
                         "/memory", "/logging", "/drain", "/healthcheck/fail", "/quitquitquit"):
                self.assertIn(page, text)

    def test_changes_are_POST_only_and_unknown_pages_404(self):
        admin = self.mesh.ports["client-1"]["admin"]
        for path in ("/logging", "/drain", "/drain_listeners", "/healthcheck/fail", "/healthcheck/ok", "/reopen_logs", "/quitquitquit"):
            self.assertEqual(mesh.get(admin, path)[0], 405, path)
        self.assertEqual(mesh.get(admin, "/nothing")[0], 404)
        self.assertEqual(self.post("client-1", "/stats")[0], 405)
        self.assertEqual(self.admin("client-1", "/ready"), "LIVE\n")

    def test_pages_are_for_loopback_names_only(self):
        self.assertEqual(mesh.get(self.mesh.ports["client-1"]["admin"], "/config_dump", headers={"Host": "evil.example"})[0], 403)
        self.assertEqual(self.telemetry("client-1", "/config_dump")[0], 404)

    def test_server_info(self):
        info = self.json("client-1", "/server_info")
        self.assertEqual(info["state"], "LIVE")
        self.assertRegex(info["uptime_current_epoch"], r"^\d+s$")
        self.assertEqual(info["command_line_options"]["concurrency"], 1)
        self.assertEqual(info["node"]["id"], "default/client-1")
        self.assertEqual(info["outrigger"]["identity"], "spiffe://cluster.local/ns/default/sa/client")
        self.assertTrue(info["outrigger"]["control_plane"]["connected"])

    # ---- numbers

    def test_stats_are_sorted_lines_and_can_be_filtered(self):
        lines = self.admin("client-1", "/stats").splitlines()
        self.assertEqual(lines, sorted(lines))
        stats = dict(line.split(": ") for line in lines)
        self.assertGreaterEqual(int(stats["cluster.outbound|80||orders.default.upstream_rq_total"]), 11)
        self.assertGreaterEqual(int(stats["http.outbound.downstream_rq_5xx"]), 1)
        self.assertEqual(stats["server.live"], "1")
        filtered = self.admin("client-1", "/stats?filter=%5Eserver%5C.").splitlines()
        self.assertEqual([line.split(": ")[0] for line in filtered], [name for name in stats if name.startswith("server.")])
        self.assertTrue(all(not line.endswith(": 0") for line in self.admin("client-1", "/stats?usedonly").splitlines()))
        names = [stat["name"] for stat in self.json("client-1", "/stats?format=json")["stats"]]
        self.assertEqual(names, list(stats))
        self.assertEqual(mesh.get(self.mesh.ports["client-1"]["admin"], "/stats?filter=(")[0], 400)

    def test_metrics_keep_to_the_exposition_format(self):
        for name in ("client-1", "orders-1"):
            families = parse_exposition(self.admin(name, "/stats/prometheus"))
            for family, found in families.items():
                self.assertTrue(found["help"] and found["type"] in ("counter", "gauge", "histogram"), family)
                self.assertTrue(found["samples"], family)
                if found["type"] == "counter":
                    self.assertTrue(family.endswith("_total"), family)
            for family in ("outrigger_requests_total", "outrigger_request_duration_seconds", "outrigger_xds_connected",
                           "outrigger_upstream_connections", "outrigger_certificate_expiry_seconds", "process_resident_memory_bytes",
                           "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds", "outrigger_build_info"):
                self.assertIn(family, families)
            buckets = families["outrigger_request_duration_seconds"]["samples"]
            counts = {labels: value for (sample, labels), value in buckets.items() if sample.endswith("_count")}
            for labels, count in counts.items():
                self.assertEqual(buckets[("outrigger_request_duration_seconds_bucket", labels + ',le="+Inf"')], count)

    def test_both_sides_count_the_same_requests(self):
        def count(name, direction):
            samples = parse_exposition(self.admin(name, "/metrics"))["outrigger_requests_total"]["samples"]
            return sum(value for (_, labels), value in samples.items()
                       if f'direction="{direction}"' in labels and 'destination_service="orders.default"' in labels
                       and 'response_code="200"' in labels and 'security="mutual_tls"' in labels)
        self.assertEqual(count("client-1", "outbound"), count("orders-1", "inbound"))
        self.assertGreaterEqual(count("orders-1", "inbound"), 10)

    def test_telemetry_serves_the_same_metrics(self):
        status, body = self.telemetry("orders-1", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("outrigger_requests_total", parse_exposition(body.decode()))

    # ---- configuration

    def test_clusters_name_endpoints_with_health_load_and_identity(self):
        lines = self.admin("client-1", "/clusters").splitlines()
        endpoint = f"outbound|80||orders.default::127.0.0.1:{self.mesh.ports['orders-1']['inbound']}::"
        self.assertIn("outbound|80||orders.default::added_via_api::true", lines)
        facts = dict(line[len(endpoint):].split("::") for line in lines if line.startswith(endpoint))
        self.assertEqual(facts["health_flags"], "healthy")
        self.assertEqual(facts["hostname"], "default/orders-1")
        self.assertEqual(facts["identity"], "spiffe://cluster.local/ns/default/sa/orders")
        self.assertGreaterEqual(int(facts["rq_total"]), 11)
        statuses = {status["name"]: status for status in self.json("client-1", "/clusters?format=json")["cluster_statuses"]}
        host = statuses["outbound|80||orders.default"]["host_statuses"][0]
        self.assertEqual(host["address"]["socket_address"]["port_value"], self.mesh.ports["orders-1"]["inbound"])
        self.assertEqual(host["health_status"]["eds_health_status"], "HEALTHY")

    def test_listeners_are_what_is_bound(self):
        ports = self.mesh.ports["client-1"]
        self.assertEqual(self.admin("client-1", "/listeners").splitlines(),
                         [f"inbound::127.0.0.1:{ports['inbound']}", f"listen|{ports['listen']}::127.0.0.1:{ports['listen']}",
                          f"outbound::127.0.0.1:{ports['outbound']}"])
        names = [status["name"] for status in self.json("client-1", "/listeners?format=json")["listener_statuses"]]
        self.assertEqual(names, ["inbound", f"listen|{ports['listen']}", "outbound"])

    def test_config_dump_shows_each_kind_and_can_show_one(self):
        configs = self.json("client-1", "/config_dump")["configs"]
        kinds = [config["@type"].rsplit(".", 1)[1] for config in configs]
        self.assertEqual(kinds, ["ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump", "RoutesConfigDump"])
        names = [entry["cluster"]["name"] for entry in configs[0]["dynamic_active_clusters"]]
        self.assertIn("outbound|80||orders.default", names)
        routes = self.json("client-1", "/config_dump?resource=dynamic_route_configs")["configs"]
        self.assertTrue(all("route_config" in entry for entry in routes) and routes)
        self.assertEqual(mesh.get(self.mesh.ports["client-1"]["admin"], "/config_dump?resource=nothing")[0], 400)

    def test_certs_tell_the_leaf_and_the_root(self):
        certificate = self.json("client-1", "/certs")["certificates"][0]
        leaf, root = certificate["cert_chain"][0], certificate["ca_cert"][0]
        self.assertEqual(leaf["subject_alt_names"], [{"uri": "spiffe://cluster.local/ns/default/sa/client"}])
        self.assertRegex(leaf["serial_number"], r"^[0-9a-f]+$")
        for time in ("valid_from", "expiration_time"):
            self.assertRegex(leaf[time], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertGreater(int(root["days_until_expiration"]), int(leaf["days_until_expiration"]))

    def test_memory_is_what_the_kernel_says(self):
        memory = self.json("client-1", "/memory")
        resident = int(memory["total_physical_bytes"]) / (1 << 20)
        self.assertAlmostEqual(resident, self.mesh.sidecars["client-1"].memory_mib(), delta=2)
        with open(mesh.binaries()["outrigger-proxy"], "rb") as program:
            counted = b"__asan_init" not in program.read()  # the C library does not know a sanitizer's allocator
        self.assertEqual(int(memory["allocated"]) > 0, counted)

    # ---- changes

    def test_readiness_can_be_taken_away_and_given_back(self):
        self.assertEqual(self.post("client-1", "/healthcheck/fail"), (200, "OK\n"))
        status, body = mesh.get(self.mesh.ports["client-1"]["admin"], "/ready")
        self.assertEqual(status, 503)
        self.assertIn(b"/healthcheck/ok", body)
        self.assertEqual(self.telemetry("client-1", "/live")[0], 200)
        self.assertEqual(self.post("client-1", "/healthcheck/ok"), (200, "OK\n"))
        self.assertEqual(self.admin("client-1", "/ready"), "LIVE\n")

    def test_the_log_level_changes_while_it_runs(self):
        self.assertEqual(self.post("client-1", "/logging"), (200, "active loggers:\n  outrigger: info\n"))
        self.assertEqual(self.post("client-1", "/logging?level=error"), (200, "active loggers:\n  outrigger: error\n"))
        self.assertEqual(self.post("client-1", "/logging?level=loud")[0], 400)
        self.assertEqual(self.post("client-1", "/logging"), (200, "active loggers:\n  outrigger: error\n"))
        self.post("client-1", "/logging?level=info")

    # ---- secrets

    def test_no_page_and_no_log_holds_a_secret(self):
        secrets = ["hunter2"]
        for name in ("client-1", "orders-1"):
            with open(os.path.join(self.mesh.folder, name + ".token")) as token:
                secrets.append(token.read().split(".")[0])
            key = os.path.join(self.mesh.folder, name, "key.pem")
            with open(key) as file:
                text = file.read()
            secrets += [line for line in text.splitlines() if line and not line.startswith("-----")]
            self.assertEqual(os.stat(key).st_mode & 0o077, 0)
        with open(os.path.join(self.mesh.data, "admin.token")) as token:
            secrets.append(token.read().strip())
        texts = {process.name: process.log_text() for process in self.mesh.processes()}
        for name in ("client-1", "orders-1"):
            for path in ("/", "/ready", "/server_info", "/stats", "/stats/prometheus", "/clusters", "/clusters?format=json", "/listeners",
                         "/config_dump", "/certs", "/memory"):
                texts[name + path] = self.admin(name, path)
        for where, text in texts.items():
            self.assertNotIn("PRIVATE KEY", text, where)
            for secret in secrets:
                self.assertGreater(len(secret), 6)
                self.assertNotIn(secret, text, where)


class NotReadyTest(mesh.MeshTest):
    """A sidecar whose control plane is away."""

    @classmethod
    def arrange(cls):
        cls.start_pair()

    def test_ready_says_what_it_waits_for(self):
        mesh_ = self.mesh
        mesh_.sidecars["client-1"].stop()
        folder = os.path.join(self.folder, "fresh")
        port, telemetry, outbound, inbound = mesh.free_ports(4)
        command = list(mesh_.sidecars["client-1"].command)
        for flag, value in (("--admin", f"127.0.0.1:{port}"), ("--telemetry", f"127.0.0.1:{telemetry}"),
                            ("--outbound", f"127.0.0.1:{outbound}"), ("--inbound", f"127.0.0.1:{inbound}"), ("--data-dir", folder),
                            ("--control", "127.0.0.1:9")):
            command[command.index(flag) + 1] = value
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            try:
                def waits():
                    try:
                        return mesh.get(port, "/ready")
                    except OSError:
                        return None
                status, body = mesh.wait_for("it answers", waits)
                self.assertEqual(status, 503)
                self.assertTrue(body.startswith(b"INITIALIZING\nno certificate yet\n"), body)
                mesh.wait_for("it tells of the control plane", lambda: b"the control plane is away: " in mesh.get(port, "/ready")[1])
                self.assertEqual(mesh.get(telemetry, "/ready")[0], 503)
                self.assertEqual(mesh.get(telemetry, "/live")[0], 200)
                info = json.loads(mesh.get(port, "/server_info")[1])
                self.assertEqual((info["state"], info["outrigger"]["waiting_for"]), ("INITIALIZING", "no certificate yet"))
                parse_exposition(mesh.get(port, "/stats/prometheus")[1].decode())
            finally:
                child.terminate()
                child.wait(20)


class AccessLogTest(mesh.MeshTest):
    """Requests as lines: errors when nothing is said, in a file that is opened again after a rotation."""

    @classmethod
    def arrange(cls):
        cls.file = os.path.join(cls.folder, "access.log")
        cls.start_pair(client_flags=["--access-log", cls.file])
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/fine": lambda wire, _: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "/broken": lambda wire, _: wire.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        }))

    def lines(self, path):
        with open(path) as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def ask(self, path):
        with self.call() as wire:
            return wire.get(path).status

    def test_the_policy_decides_a_rotation_loses_nothing_and_neither_does_the_end(self):
        self.assertEqual(self.ask("/fine"), 200)
        self.assertEqual(self.ask("/broken?token=hunter2"), 500)
        line = mesh.wait_for("the line", lambda: self.lines(self.file))[0]
        self.assertEqual((line["status"], line["path"], line["direction"]), (500, "/broken?...", "outbound"))
        self.assertEqual(line["destination_identity"], "spiffe://cluster.local/ns/default/sa/orders")
        self.assertEqual(len(self.lines(self.file)), 1, "what went well is not an error")

        os.rename(self.file, self.file + ".1")
        connection = http.client.HTTPConnection("127.0.0.1", self.mesh.ports["client-1"]["admin"], timeout=20)
        connection.request("POST", "/reopen_logs")
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.assertEqual(self.ask("/broken"), 500)
        mesh.wait_for("the line in the new file", lambda: self.lines(self.file))
        self.assertEqual(len(self.lines(self.file + ".1")), 1)

        self.mesh.write("policy.yaml", "apiVersion: outrigger.dev/v1\nkind: MeshPolicy\nmetadata: {name: mesh}\n"
                                       "spec: {accessLog: {requests: all}}\n")
        mesh.wait_for("everything is logged", lambda: self.ask("/fine") == 200 and any(
            line["path"] == "/fine" for line in self.lines(self.file)))
        self.assertEqual(oct(os.stat(self.file).st_mode & 0o777), "0o640")

        # The last lines are written before the end.
        self.assertEqual(self.ask("/fine?last"), 200)
        self.assertEqual(self.mesh.sidecars["client-1"].stop(), 0)
        self.assertEqual(self.lines(self.file)[-1]["path"], "/fine?...")


if __name__ == "__main__":
    unittest.main()
