"""What a save in the watched folder does, however it is saved: renamed over, written in place, swapped behind links as a ConfigMap
is, deleted; and that a broken object is told by file, line, field and reason while everything else stays in force."""

import http.client
import os
import shutil
import unittest

import mesh

REDIRECT = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: %s}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: %s}}}]}]
"""


class SavedFilesTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.mesh.ports_of("web-1")
        cls.mesh.write("mesh.yaml", mesh.service_yaml("orders", "app: orders"), mesh.service_yaml("stock", "app: stock"),
                       mesh.workload_yaml("web-1", "app: web", cls.mesh.ports["web-1"], "web"))
        cls.mesh.start_control()
        cls.mesh.start_sidecar("web-1", ["--workers", "1"])
        cls.mesh.wait_ready()

    def tearDown(self):
        for name in os.listdir(self.mesh.config):
            if name != "mesh.yaml":
                path = os.path.join(self.mesh.config, name)
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
        self.eventually("only mesh.yaml counts", lambda: self.mesh.status()["objects"] == {"Service": 2, "Workload": 1})
        self.eventually("nothing is rejected", lambda: not self.mesh.status()["rejected"])

    def leads_to(self, host):
        """Where the sidecar redirects a request for the host; None when it does not."""
        connection = http.client.HTTPConnection("127.0.0.1", self.mesh.ports["web-1"]["outbound"], timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            answer.read()
            place = answer.getheader("location")
            return place and place.split("/", 3)[-1]
        finally:
            connection.close()

    def sees(self, host, place):
        self.eventually(f"{host} leads to {place}", lambda: self.leads_to(host) == place)

    def rejected(self):
        """(file, line, kind/name, field, reason, previous in force) of each."""
        return [(os.path.basename(one["file"]), one["line"], one.get("kind", "") + "/" + one.get("name", ""), one.get("field"),
                 one["reason"], one["previous_in_force"]) for one in self.mesh.status()["rejected"]]

    def path(self, name):
        return os.path.join(self.mesh.config, name)

    # ---- ways to save

    def test_a_file_renamed_over_is_in_force_and_its_removal_too(self):
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/a"))
        self.sees("orders", "a")
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/b"))
        self.sees("orders", "b")
        os.remove(self.path("route.yaml"))
        self.sees("orders", None)

    def test_a_file_written_in_place_is_in_force(self):
        for place in ("a", "b"):  # of equal length: neither the size nor perhaps the time tells them apart
            with open(self.path("route.yaml"), "w", encoding="utf-8") as out:
                out.write(REDIRECT % ("moved", "orders", "/" + place))
            self.sees("orders", place)

    def test_an_editors_backup_dance_is_one_change(self):
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/a"))
        self.sees("orders", "a")
        os.rename(self.path("route.yaml"), self.path("route.yaml~"))  # as vim does with `backupcopy=no`
        with open(self.path("route.yaml"), "w", encoding="utf-8") as out:
            out.write(REDIRECT % ("moved", "orders", "/b"))
        os.remove(self.path("route.yaml~"))
        with open(self.path(".route.yaml.swp"), "w", encoding="utf-8") as out:
            out.write("b0VIM, and no YAML: [")
        self.sees("orders", "b")
        self.assertEqual(self.rejected(), [])

    def test_a_folder_of_links_is_swapped_at_once_as_a_configmap_is(self):
        def version(name, place):
            folder = self.path(name)
            os.mkdir(folder)
            for host in ("orders", "stock"):
                with open(os.path.join(folder, host + ".yaml"), "w", encoding="utf-8") as out:
                    out.write(REDIRECT % ("to-" + host, host, place))
            os.symlink(name, self.path("..data_tmp"))
            os.rename(self.path("..data_tmp"), self.path("..data"))

        version("..2026_1", "/a")
        for host in ("orders", "stock"):
            os.symlink(f"..data/{host}.yaml", self.path(host + ".yaml"))
        self.sees("orders", "a")
        self.sees("stock", "a")
        version("..2026_2", "/b")
        self.sees("orders", "b")
        self.sees("stock", "b")
        shutil.rmtree(self.path("..2026_1"))
        self.assertEqual(self.rejected(), [])
        self.assertEqual(self.mesh.status()["objects"]["HTTPRoute"], 2)

    # ---- broken files

    def test_a_broken_object_is_told_and_its_last_good_version_stays(self):
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/a"), REDIRECT % ("to-stock", "stock", "/a"))
        self.sees("stock", "a")
        self.mesh.write("route.yaml", (REDIRECT % ("moved", "orders", "/b")).replace("ReplaceFullPath,", "ReplaceAll,"),
                        REDIRECT % ("to-stock", "stock", "/b"))
        self.sees("stock", "b")
        self.assertEqual(self.leads_to("orders"), "a")
        (file, line, name, field, reason, previous), *more = self.rejected()
        self.assertEqual((file, line, name, previous), ("route.yaml", 6, "HTTPRoute/moved", True))
        self.assertEqual(field, "spec.rules[0].filters[0].requestRedirect.path.type")
        self.assertIn("ReplaceAll", reason)
        self.assertEqual(more, [])

    def test_a_file_that_is_no_yaml_keeps_all_it_declared(self):
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/a"))
        self.sees("orders", "a")
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/b") + "  - [\n")
        self.eventually("it is told", lambda: self.rejected())
        self.assertEqual(self.rejected()[0][:2], ("route.yaml", 7))
        self.assertEqual(self.leads_to("orders"), "a")
        self.mesh.write("other.yaml", REDIRECT % ("to-stock", "stock", "/c"))
        self.sees("stock", "c")
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/b"))
        self.sees("orders", "b")
        self.eventually("nothing is rejected", lambda: self.rejected() == [])

    def test_a_link_that_leads_nowhere_keeps_what_it_declared_until_it_is_removed(self):
        kept = os.path.join(self.folder, "route.yaml")
        with open(kept, "w", encoding="utf-8") as out:
            out.write(REDIRECT % ("moved", "orders", "/a"))
        os.symlink(kept, self.path("route.yaml"))
        self.sees("orders", "a")
        os.remove(kept)
        os.utime(self.path("mesh.yaml"))  # nothing tells of what happens outside of the folder
        self.eventually("the link is told", lambda: self.rejected())
        (file, _, _, _, reason, previous), *more = self.rejected()
        self.assertEqual((file, previous, more), ("route.yaml", True, []))
        self.assertIn("cannot be read", reason)
        self.assertEqual(self.leads_to("orders"), "a")
        os.remove(self.path("route.yaml"))
        self.sees("orders", None)

    def test_an_object_that_was_never_good_is_told_and_nothing_else_changes(self):
        before = self.mesh.status()["generation"]
        self.mesh.write("new.yaml", mesh.service_yaml("fresh", "app: x").replace("port: 80", "port: 0"))
        self.eventually("it is told", lambda: self.rejected())
        (file, line, name, field, _, previous), = self.rejected()
        self.assertEqual((file, line, name, field, previous), ("new.yaml", 6, "Service/fresh", "spec.ports[0].port", False))
        self.assertEqual(self.mesh.status()["objects"]["Service"], 2)
        self.assertGreaterEqual(self.mesh.status()["generation"], before)

    def test_an_object_declared_twice_is_told_with_both_places(self):
        self.mesh.write("twice.yaml", mesh.service_yaml("orders", "app: others"))
        self.eventually("it is told", lambda: self.rejected())
        (file, line, name, _, reason, _), = self.rejected()
        self.assertEqual((file, line, name), ("twice.yaml", 1, "Service/orders"))
        self.assertIn("mesh.yaml:1", reason)

    def test_a_file_that_is_emptied_keeps_what_it_declared_until_it_is_removed(self):
        self.mesh.write("route.yaml", REDIRECT % ("moved", "orders", "/a"))
        self.sees("orders", "a")
        with open(self.path("route.yaml"), "w", encoding="utf-8"):
            pass
        self.eventually("it is told", lambda: self.rejected())
        self.assertEqual(self.leads_to("orders"), "a")
        os.remove(self.path("route.yaml"))
        self.sees("orders", None)


if __name__ == "__main__":
    unittest.main()
