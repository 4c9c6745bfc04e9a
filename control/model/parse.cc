#include "control/model/parse.h"

#include <set>

#include "control/model/reader.h"

namespace outrigger::control {
namespace {

constexpr std::string_view kGateway = "gateway.networking.k8s.io";

struct KnownKind {
  std::string_view name;
  std::string_view group;     // "" is the core group
  std::string_view versions;  // separated by spaces, the preferred one first
  std::optional<Kind> kind;   // nullopt: one that this project knows of but does not read yet
};

const KnownKind kKnown[] = {
    {"Namespace", "", "v1", Kind::kNamespace},
    {"ServiceAccount", "", "v1", Kind::kServiceAccount},
    {"Service", "", "v1", Kind::kService},
    {"Pod", "", "v1", Kind::kPod},
    {"EndpointSlice", "discovery.k8s.io", "v1", Kind::kEndpointSlice},
    {"HTTPRoute", kGateway, "v1 v1beta1", Kind::kHttpRoute},
    {"GRPCRoute", kGateway, "v1", Kind::kGrpcRoute},
    {"ReferenceGrant", kGateway, "v1 v1beta1", Kind::kReferenceGrant},
    {"TCPRoute", kGateway, "v1alpha2", std::nullopt},
    {"TLSRoute", kGateway, "v1alpha2", std::nullopt},
    {"Workload", "outrigger.dev", "v1", Kind::kWorkload},
    {"TrafficPolicy", "outrigger.dev", "v1", Kind::kTrafficPolicy},
    {"MeshPolicy", "outrigger.dev", "v1", Kind::kMeshPolicy},
    {"FaultPolicy", "outrigger.dev", "v1", std::nullopt},
    {"AuthorizationPolicy", "outrigger.dev", "v1", std::nullopt},
    {"RequestAuthentication", "outrigger.dev", "v1", std::nullopt},
};

std::string ApiVersion(std::string_view group, std::string_view version) {
  return group.empty() ? std::string(version) : Cat(group, "/", version);
}

bool HasWord(std::string_view words, std::string_view word) {
  return (" " + std::string(words) + " ").find(Cat(" ", word, " ")) != std::string::npos;
}

class Parser {
 public:
  Parser(std::string_view file, const ParseLimits& limits) : file_(file), limits_(limits) {}

  ParseResult Run(std::string_view text) {
    std::vector<YamlText> documents = SplitYamlDocuments(text);
    if (documents.size() > limits_.documents) {
      Add(Problem{file_, 0, "", Cat("more than ", limits_.documents, " documents in one file"), std::nullopt});
      result_.complete = false;
      return std::move(result_);
    }
    for (const YamlText& document : documents) {
      auto parsed =
          ParseYamlDocument(document.text, document.first_line, {limits_.document_bytes, limits_.nodes, limits_.depth});
      if (const YamlError* error = std::get_if<YamlError>(&parsed)) {
        Add(Problem{file_, error->line, "", error->reason, std::nullopt});
        result_.complete = false;
        continue;
      }
      const YamlPtr& root = std::get<YamlPtr>(parsed);
      if (root->type != YamlNode::Type::kNull) ParseItem(*root, document, /*in_list=*/false);
    }
    return std::move(result_);
  }

 private:
  void Add(Problem problem) { result_.problems.push_back(std::move(problem)); }

  void Fail(Document* document, const std::optional<ObjectKey>& key) {
    for (Problem& problem : document->Take(key)) Add(std::move(problem));
  }

  // nullopt after a report. Without a kind nothing else of the document can be checked.
  std::optional<Kind> ReadKind(Document* document, const std::string& kind, const Value& kind_value, const std::string& version,
                               const Value& version_value) {
    std::vector<std::string_view> names;
    for (const KnownKind& known : kKnown) {
      names.push_back(known.name);
      if (known.name != kind) continue;
      size_t slash = version.find('/');
      std::string_view group = slash == std::string::npos ? std::string_view() : std::string_view(version).substr(0, slash);
      std::string_view bare = slash == std::string::npos ? std::string_view(version) : std::string_view(version).substr(slash + 1);
      if (group != known.group || !HasWord(known.versions, bare)) {
        std::string_view first = known.versions.substr(0, known.versions.find(' '));
        document->Report(version_value, Cat(kind, " is read as ", ApiVersion(known.group, first), ", not ", Quoted(version)));
        // The same word in another group is another thing (Knative's Service): nothing of ours is missing then.
        if (group == known.group) result_.complete = false;
        return std::nullopt;
      }
      if (!known.kind) document->Report(kind_value, Cat(kind, " is ", kNotYet));
      return known.kind;
    }
    std::string_view nearest = Nearest(kind, names);
    std::string hint = nearest.empty() ? "" : Cat("; did you mean ", nearest, "?");
    document->Report(kind_value, Cat(Quoted(kind), " is not a kind that Outrigger reads", hint));
    if (!nearest.empty()) result_.complete = false;
    return std::nullopt;
  }

  void ReadMetadata(Document* document, Fields& root, Object* object) {
    std::optional<Value> value = root.Require("metadata");
    if (!value) return;
    Fields metadata(document, *value);
    metadata.Ignore({"uid", "resourceVersion", "generation", "deletionGracePeriodSeconds", "finalizers", "ownerReferences",
                     "managedFields", "selfLink", "generateName"});
    const Kind kind = object->key.kind;
    if (auto name = metadata.Require("name")) {
      bool label = kind == Kind::kService || kind == Kind::kNamespace || kind == Kind::kWorkload;
      object->key.name = (label ? document->Label(*name) : document->Subdomain(*name)).value_or("");
    }
    if (IsNamespaced(kind)) {
      object->key.namespace_ = "default";
      if (auto name = metadata.Get("namespace")) {
        std::optional<std::string> label = document->Label(*name);
        object->key.namespace_ = label.value_or("");
        if (!label) object->key.name.clear();  // nobody can say whose new version this is
      }
    } else {
      metadata.Refuse("namespace", Cat(KindName(kind), " belongs to no namespace; leave the field out"));
    }
    if (auto labels = metadata.Get("labels")) object->labels = document->StringMap(*labels).value_or(Labels());
    if (auto annotations = metadata.Get("annotations")) object->annotations = document->StringMap(*annotations).value_or(Labels());
    if (auto time = metadata.Get("creationTimestamp")) object->creation_timestamp = document->String(*time).value_or("");
    object->deleting = metadata.Get("deletionTimestamp").has_value();
    metadata.Done();
  }

  Spec ReadSpec(Fields& root, const Object& object) {
    switch (object.key.kind) {
      case Kind::kNamespace:
      case Kind::kServiceAccount:
        root.Ignore({"spec", "status", "secrets", "imagePullSecrets", "automountServiceAccountToken"});
        return std::monostate();
      case Kind::kService: return ParseService(root);
      case Kind::kPod: return ParsePod(root);
      case Kind::kEndpointSlice: return ParseEndpointSlice(root, object.labels);
      case Kind::kWorkload: return ParseWorkload(root, object.key.namespace_);
      case Kind::kHttpRoute: return ParseHttpRoute(root, object.key.namespace_);
      case Kind::kGrpcRoute: return ParseGrpcRoute(root, object.key.namespace_);
      case Kind::kReferenceGrant: return ParseReferenceGrant(root);
      case Kind::kTrafficPolicy: return ParseTrafficPolicy(root);
      case Kind::kMeshPolicy: return ParseMeshPolicy(root);
    }
    return std::monostate();
  }

  void ParseList(Fields& root, const YamlText& text) {
    root.Ignore({"metadata"});
    std::optional<Value> items = root.Get("items");
    root.Done();
    if (!items) return;
    root.document()->Each(*items, limits_.documents, [&](const Value& item) { ParseItem(*item.node, text, /*in_list=*/true); });
  }

  void ParseItem(const YamlNode& node, const YamlText& text, bool in_list) {
    Document document(file_);
    Fields root(&document, Value{&node, ""});
    std::optional<Value> version = root.Require("apiVersion"), kind = root.Require("kind");
    std::optional<std::string> version_text, kind_text;
    if (version) version_text = document.String(*version);
    if (kind) kind_text = document.String(*kind);
    if (!version_text || !kind_text) {
      result_.complete = false;
      return Fail(&document, std::nullopt);
    }
    if (*kind_text == "List" && *version_text == "v1" && !in_list) {
      ParseList(root, text);
      if (!document.ok()) result_.complete = false;
      return Fail(&document, std::nullopt);
    }
    std::optional<Kind> known = ReadKind(&document, *kind_text, *kind, *version_text, *version);
    if (!known) return Fail(&document, std::nullopt);

    auto object = std::make_shared<Object>();
    object->key.kind = *known;
    object->api_version = *version_text;
    object->origin = Origin{file_, in_list ? node.line : text.first_line};
    ReadMetadata(&document, root, object.get());
    object->spec = ReadSpec(root, *object);
    root.Done();
    if (object->key.name.empty()) {
      result_.complete = false;
      return Fail(&document, std::nullopt);
    }
    if (!keys_.insert(object->key).second) {
      document.Report(object->origin.line, "metadata.name",
                      Cat(object->key.ToString(), " is declared twice in this file, first in line ", first_line_[object->key]));
    } else {
      first_line_[object->key] = object->origin.line;
    }
    if (!document.ok()) return Fail(&document, object->key);
    object->yaml = in_list ? ToYaml(node) : std::string(text.text);
    result_.objects.push_back(std::move(object));
  }

  static std::string ToYaml(const YamlNode& node);

  const std::string file_;
  const ParseLimits limits_;
  ParseResult result_;
  std::set<ObjectKey> keys_;
  std::map<ObjectKey, int> first_line_;
};

void AppendJsonString(std::string_view text, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  out->push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      *out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      *out += "\\u00";
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[c & 15]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void AppendScalar(const YamlNode& node, std::string* out) {
  ScalarType type = TypeOf(node);
  if (type == ScalarType::kBool) {
    *out += Lower(node.scalar);
    return;
  }
  // Only what JSON itself would read as this number (no leading '+' or zero, no hexadecimal, no bare point).
  std::string_view digits = node.scalar;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  bool number = type != ScalarType::kString && !digits.empty() && digits[0] >= '0' && digits[0] <= '9' && digits.back() != '.' &&
                (digits[0] != '0' || digits.size() == 1 || digits[1] == '.') && digits.find(".e") == digits.npos &&
                digits.find(".E") == digits.npos;
  if (number) {
    *out += node.scalar;
  } else {
    AppendJsonString(node.scalar, out);
  }
}

void AppendJson(const YamlNode& node, std::string* out) {
  bool first = true;
  switch (node.type) {
    case YamlNode::Type::kNull: *out += "null"; break;
    case YamlNode::Type::kScalar: AppendScalar(node, out); break;
    case YamlNode::Type::kSequence:
      out->push_back('[');
      for (const YamlPtr& item : node.items) {
        if (!first) out->push_back(',');
        first = false;
        AppendJson(*item, out);
      }
      out->push_back(']');
      break;
    case YamlNode::Type::kMap:
      out->push_back('{');
      for (const YamlNode::Entry& entry : node.entries) {
        if (!first) out->push_back(',');
        first = false;
        AppendJsonString(entry.key, out);
        out->push_back(':');
        AppendJson(*entry.value, out);
      }
      out->push_back('}');
      break;
  }
}

// An item of a List has no document of its own; JSON is YAML, too.
std::string Parser::ToYaml(const YamlNode& node) {
  std::string out;
  AppendJson(node, &out);
  return out + "\n";
}

}  // namespace

ParseResult ParseYaml(std::string_view text, std::string_view file, const ParseLimits& limits) { return Parser(file, limits).Run(text); }

absl::StatusOr<std::string> ObjectJson(const Object& object) {
  auto parsed = ParseYamlDocument(object.yaml, object.origin.line, YamlLimits());
  if (const YamlError* error = std::get_if<YamlError>(&parsed)) return absl::InternalError(error->reason);
  std::string out;
  AppendJson(*std::get<YamlPtr>(parsed), &out);
  return out;
}

}  // namespace outrigger::control
