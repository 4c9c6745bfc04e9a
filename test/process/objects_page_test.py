"""The examples of docs/objects.md, declared together: every one is accepted, and nothing about them is left to say."""

import json
import os
import re
import unittest

import mesh

PAGE = os.path.join(mesh.ROOT, "docs", "objects.md")


class ObjectsPageTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        with open(PAGE, encoding="utf-8") as page:
            cls.text = page.read()
        cls.examples = re.findall(r"^```yaml\n(.*?)^```$", cls.text, re.S | re.M)
        for number, example in enumerate(cls.examples):
            cls.mesh.write(f"example-{number}.yaml", example)
        cls.mesh.start_control()

    def test_every_example_is_accepted(self):
        status = self.mesh.status()
        self.assertEqual(status["rejected"], [])
        self.assertEqual(status["problems"], [])
        declared = sum(example.count("\nkind: ") + example.startswith("kind: ") for example in self.examples)
        self.assertGreater(declared, 10)
        self.assertEqual(sum(status["objects"].values()), declared)
        check = json.loads(self.mesh.cli("check", "-o", "json"))
        self.assertTrue(check["success"])
        self.assertIn(f"all {declared} objects are accepted", [line["text"] for line in check["checks"]])

    def test_every_kind_has_an_example(self):
        table = re.findall(r"^\| (.*?) \| `", self.text, re.M)
        kinds = set(re.findall(r"\[(\w+)\]\(#", "\n".join(table)))
        self.assertGreaterEqual(len(kinds), 9)
        self.assertEqual(set(self.mesh.status()["objects"]), kinds)


if __name__ == "__main__":
    unittest.main()
