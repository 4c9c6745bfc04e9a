#include "control/model/yaml.h"

#include <gtest/gtest.h>

#include <random>

#include "control/model/parse.h"
#include "control/model/text.h"

namespace outrigger::control {
namespace {

YamlError ErrorOf(std::string_view text, int first_line = 1, YamlLimits limits = {}) {
  auto parsed = ParseYamlDocument(text, first_line, limits);
  if (const auto* error = std::get_if<YamlError>(&parsed)) return *error;
  ADD_FAILURE() << "parsed: " << text;
  return {};
}

YamlPtr TreeOf(std::string_view text) {
  auto parsed = ParseYamlDocument(text, 1, {});
  if (const auto* tree = std::get_if<YamlPtr>(&parsed)) return *tree;
  ADD_FAILURE() << std::get<YamlError>(parsed).reason;
  return std::make_shared<YamlNode>();
}

std::vector<std::pair<int, std::string>> Split(std::string_view text) {
  std::vector<std::pair<int, std::string>> out;
  for (const YamlText& part : SplitYamlDocuments(text)) out.emplace_back(part.first_line, part.text);
  return out;
}

TEST(YamlTest, NodesKnowTheirLines) {
  YamlPtr tree = TreeOf("a: 1\nb:\n  - x\n  - {c: y}\n");
  ASSERT_EQ(tree->type, YamlNode::Type::kMap);
  const YamlNode::Entry* b = tree->Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->line, 2);
  EXPECT_EQ(b->value->items[0]->line, 3);
  EXPECT_EQ(b->value->items[1]->Find("c")->line, 4);
  EXPECT_EQ(tree->Find("missing"), nullptr);
}

TEST(YamlTest, PlainScalarsHaveTheTypesOfTheCoreSchema) {
  auto type = [](std::string_view text) { return TypeOf(*TreeOf(text)); };
  for (std::string_view text : {"true", "False"}) EXPECT_EQ(type(text), ScalarType::kBool) << text;
  for (std::string_view text : {"0", "-12", "+3", "0x1f", "080"}) EXPECT_EQ(type(text), ScalarType::kInteger) << text;
  for (std::string_view text : {"1.5", "-.5", "1e3", "1.0e-3", "1."}) EXPECT_EQ(type(text), ScalarType::kFloat) << text;
  for (std::string_view text : {"yes", "on", "10s", "1.2.3.4", "e5", ".", "\"80\"", "'true'", "v1", "1e", "2024-01-01T00:00:00Z"}) {
    EXPECT_EQ(type(text), ScalarType::kString) << text;
  }
}

TEST(YamlTest, DocumentsAreCutAtMarkersWithTheirLines) {
  using Parts = std::vector<std::pair<int, std::string>>;
  EXPECT_EQ(Split("a: 1\n"), (Parts{{1, "a: 1\n"}}));
  EXPECT_EQ(Split("---\na: 1\n---\nb: 2"), (Parts{{2, "a: 1\n"}, {4, "b: 2"}}));
  EXPECT_EQ(Split("# only a comment\n---\n\n---\n# c\nb: 2\n..."), (Parts{{6, "b: 2\n"}}));
  EXPECT_EQ(Split("%YAML 1.2\n---\na: 1\n...\n# end\n"), (Parts{{3, "a: 1\n"}}));
  EXPECT_EQ(Split("--- {a: 1}\n--- # comment\nb: 2\n"), (Parts{{1, " {a: 1}\n"}, {3, "b: 2\n"}}));
  EXPECT_EQ(Split("\xEF\xBB\xBF---\r\na: 1\r\n---\r\nb: 1\r\n"), (Parts{{2, "a: 1\r\n"}, {4, "b: 1\r\n"}}));
  EXPECT_EQ(Split("a: |\n  ---\n  text\n"), (Parts{{1, "a: |\n  ---\n  text\n"}})) << "an indented marker is text";
  EXPECT_TRUE(Split("").empty());
  EXPECT_TRUE(Split("\n\n# nothing\n---\n---\n").empty());
}

TEST(YamlTest, SyntaxErrorsCountLinesFromTheFirst) {
  YamlError error = ErrorOf("a: 1\nb: [1, 2\n", 10);
  EXPECT_GE(error.line, 11);
  EXPECT_LE(error.line, 12);
  EXPECT_NE(error.reason.find("not valid YAML"), std::string::npos);
}

TEST(YamlTest, AnAliasStandsForItsValueButNotForMuch) {
  YamlPtr tree = TreeOf("a: &x {k: v}\nb: *x\n");
  EXPECT_EQ(tree->Find("b")->value->Find("k")->value->scalar, "v");

  std::string laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 20; ++i) {
    laughs += Cat("a", i, ": &a", i, " [");
    for (int k = 0; k < 9; ++k) laughs += Cat(k == 0 ? "" : ", ", "*a", i - 1);
    laughs += "]\n";
  }
  YamlError error = ErrorOf(laughs);
  EXPECT_NE(error.reason.find("more than 200000 values"), std::string::npos) << error.reason;
  EXPECT_EQ(error.line, 6) << "9^5 + ... passes the limit there";

  EXPECT_NE(ErrorOf("a: &x\n  b: *x\n").reason.find("inside the value that it names"), std::string::npos);
  EXPECT_NE(ErrorOf("a: *unknown\n").reason.find("not valid YAML"), std::string::npos);
}

TEST(YamlTest, DepthSizeAndNumberHaveLimits) {
  EXPECT_NE(ErrorOf(std::string(100, '[') + std::string(100, ']')).reason.find("deeper than 32"), std::string::npos);
  EXPECT_NE(ErrorOf(std::string(100'000, '[') + std::string(100'000, ']')).reason.find("deeper than 32"), std::string::npos);
  std::string blocks;
  for (int i = 0; i < 40; ++i) blocks += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_NE(ErrorOf(blocks).reason.find("deeper than 32"), std::string::npos);
  EXPECT_NE(ErrorOf("a: " + std::string(2 << 20, 'x')).reason.find("larger than 1048576 bytes"), std::string::npos);
  YamlLimits few;
  few.nodes = 10;
  EXPECT_NE(ErrorOf("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", 1, few).reason.find("more than 10 values"), std::string::npos);
}

TEST(YamlTest, WhatIsNotPlainYamlIsRefused) {
  EXPECT_EQ(ErrorOf("a: 1\nb: 2\na: 3\n").reason, "the field \"a\" stands here twice");
  EXPECT_EQ(ErrorOf("a: 1\nb: 2\na: 3\n").line, 3);
  EXPECT_NE(ErrorOf("{[a]: b}").reason.find("plain word"), std::string::npos);
  EXPECT_NE(ErrorOf("? {a: b}\n: c\n").reason.find("plain word"), std::string::npos);
  EXPECT_NE(ErrorOf("~: b\n").reason.find("plain word"), std::string::npos);
  EXPECT_NE(ErrorOf("a: !!binary aGk=\n").reason.find("tag"), std::string::npos);
  EXPECT_NE(ErrorOf("a: !x {}\n").reason.find("tag"), std::string::npos);
  EXPECT_EQ(ErrorOf(std::string("a: b\nc: \0d\n", 11)).line, 2);
  EXPECT_NE(ErrorOf("a: \xff\xfe\n").reason.find("UTF-8"), std::string::npos);
  EXPECT_NE(ErrorOf("a: \xed\xa0\x80\n").reason.find("UTF-8"), std::string::npos) << "a surrogate";
  EXPECT_NE(ErrorOf("a: \xc0\xaf\n").reason.find("UTF-8"), std::string::npos) << "an overlong form";
}

TEST(YamlTest, JsonIsYaml) {
  YamlPtr tree = TreeOf("{\n  \"a\": [1, true, null, \"x\\ny\"],\n  \"b\": {}\n}\n");
  const YamlNode& a = *tree->Find("a")->value;
  EXPECT_EQ(a.items.size(), 4u);
  EXPECT_EQ(a.items[2]->type, YamlNode::Type::kNull);
  EXPECT_EQ(a.items[3]->scalar, "x\ny");
  EXPECT_EQ(tree->Find("b")->line, 3);
}

// Never a crash, whatever the bytes: from a fixed seed, mutations of a good file.
TEST(YamlTest, GarbageIsRefusedOrReadButNeverFatal) {
  const std::string good =
      "apiVersion: v1\nkind: Service\nmetadata: {name: orders, labels: &l {app: \"x\"}}\nspec:\n  selector: *l\n  ports:\n"
      "  - {name: http, port: 80, targetPort: 'http', appProtocol: http}\n---\napiVersion: outrigger.dev/v1\nkind: Workload\n"
      "metadata:\n  name: orders-1\nspec:\n  address: |\n    127.0.0.1\n  ports: {http: 8080}\n  weight: >-\n    3\n";
  const std::string_view pieces[] = {"{",    "}",  "[",       "]",      ":",  "- ",      "? ",   "&a ", "*a",
                                     "|",    ">",  "!",       "!!str ", "'",  "\"",      "%",    "@",   "`",
                                     "#",    "\n", "\n---\n", "  ",     "\t", "~",       "<<: ", "\\",  "\x80",
                                     "\xff", "0x", "...",     ",",      "\r", "\xc2\x85"};
  std::minstd_rand random(7);
  size_t objects = 0, problems = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = good;
    for (unsigned change = 0; change < 1 + random() % 6; ++change) {
      size_t at = random() % (text.size() + 1);
      switch (random() % 3) {
        case 0: text.insert(at, pieces[random() % std::size(pieces)]); break;
        case 1: text.erase(at, random() % 12); break;
        default: text.insert(at, text.substr(random() % text.size(), random() % 40));
      }
      if (text.empty()) text = "x";
    }
    ParseResult result = ParseYaml(text, "f");
    objects += result.objects.size();
    problems += result.problems.size();
    for (const Problem& problem : result.problems) {
      EXPECT_FALSE(problem.reason.empty());
      EXPECT_GE(problem.line, 1) << text;
    }
  }
  EXPECT_GT(objects, 500u);
  EXPECT_GT(problems, 500u);
}

}  // namespace
}  // namespace outrigger::control
