#include "control/admin/admin.h"

#include <algorithm>
#include <utility>

#include "control/admin/duration.h"
#include "control/identity/secret.h"
#include "control/model/parse.h"
#include "proxy/tls/certificate.h"

namespace outrigger::control {

namespace {

using admin::Request;
using admin::Responder;
using admin::Response;

constexpr Duration kMaxWait = std::chrono::minutes(10);

Response Failure(int status, const std::string& message) { return Response::Json(status, Dump({{"error", message}})); }

int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument: return 400;
    case absl::StatusCode::kNotFound: return 404;
    case absl::StatusCode::kFailedPrecondition: return 409;
    default: return 500;
  }
}

Response Failure(const absl::Status& status) { return Failure(HttpStatus(status), std::string(status.message())); }

Json KeyJson(const ObjectKey& key) {
  Json json;
  json["kind"] = KindName(key.kind);
  if (!key.namespace_.empty()) json["namespace"] = key.namespace_;
  json["name"] = key.name;
  return json;
}

std::string_view ActionName(Store::Applied::Action action) {
  switch (action) {
    case Store::Applied::Action::kCreated: return "created";
    case Store::Applied::Action::kConfigured: return "configured";
    case Store::Applied::Action::kUnchanged: return "unchanged";
  }
  return "";
}

// ?wait=10s. False when it is given and cannot be read.
bool ReadWait(const Request& request, std::optional<Duration>* wait) {
  const std::string_view text = request.Query("wait");
  if (text.empty()) return true;
  *wait = ParseDuration(text);
  return wait->has_value() && **wait <= kMaxWait;
}

// KIND, NAMESPACE and NAME of the path; nullopt when there is no such kind.
std::optional<ObjectKey> KeyOf(const Request& request) {
  const std::optional<Kind> kind = KindFromName(request.parameters[0]);
  if (!kind.has_value()) return std::nullopt;
  ObjectKey key{*kind, request.parameters[1], request.parameters[2]};
  if (!IsNamespaced(*kind)) key.namespace_.clear();
  return key;
}

std::string Yaml(const Object& object) {
  std::string text = object.yaml;
  if (text.empty() || text.back() != '\n') text += '\n';
  return text;
}

Json DocumentJson(const Object& object) {
  absl::StatusOr<std::string> text = ObjectJson(object);
  Json json = text.ok() ? Json::parse(*text, nullptr, false) : Json();
  return json.is_object() ? json : KeyJson(object.key);
}

bool WantsYaml(const Request& request) {
  return request.Query("format") == "yaml" || (request.Query("format").empty() && request.accept == "application/yaml");
}

}  // namespace

void Admin::Register(admin::HttpServer* server) {
  using http::Method;
  server->Route(Method::kGet, "/ready", [this](const Request&, Responder responder) {
    responder.Send(draining_ ? Response::Text(503, "draining\n") : Response::Text(200, "ready\n"));
  });
  server->Route(Method::kGet, "/status", [this](const Request& r, Responder out) { GetStatus(r, std::move(out)); });
  server->Route(Method::kGet, "/metrics", [this](const Request&, Responder out) { GetMetrics(std::move(out)); });
  server->Route(Method::kGet, "/objects", [this](const Request& r, Responder out) { ListObjects(r, std::move(out)); });
  server->Route(Method::kPost, "/objects", [this](const Request& r, Responder out) { ApplyObjects(r, std::move(out)); });
  server->Route(Method::kGet, "/objects/{}", [this](const Request& r, Responder out) { ListObjects(r, std::move(out)); });
  server->Route(Method::kGet, "/objects/{}/{}/{}", [this](const Request& r, Responder out) { GetObject(r, std::move(out)); });
  server->Route(Method::kDelete, "/objects/{}/{}/{}", [this](const Request& r, Responder out) { DeleteObject(r, std::move(out)); });
  server->Route(Method::kGet, "/proxies/{}/{}/config", [this](const Request& r, Responder out) { GetConfig(r, std::move(out)); });
  server->Route(Method::kPost, "/tokens", [this](const Request& r, Responder out) { CreateToken(r, std::move(out)); });
}

void Admin::Drain() {
  draining_ = true;
  while (!waiters_.empty()) Answer(&waiters_.front());
}

bool Admin::Authorised(const Request& request, Responder* responder) const {
  if (SecretsEqual(request.authorization, "Bearer " + context_.admin_token)) return true;
  context_.log(LogLevel::kWarning, "write refused: no valid admin token", {{"path", request.path}, {"remote", request.remote.ToString()}});
  Response response = Failure(401, "this needs `Authorization: Bearer` and the secret in the control plane's admin.token");
  response.headers.emplace_back("www-authenticate", "Bearer");
  responder->Send(std::move(response));
  return false;
}

// ---------------------------------------------------------------- reading

void Admin::GetStatus(const Request&, Responder responder) {
  StatusView view;
  view.version = context_.version;
  view.trust_domain = context_.trust_domain;
  view.now = context_.loop->wall_now();
  view.started = context_.started;
  view.draining = draining_;
  view.snapshot = context_.store->snapshot();
  view.mesh = context_.ads->mesh();
  view.proxies = context_.ads->Status();
  for (const ProxyStatus& proxy : view.proxies) {
    if (auto expiry = context_.identity->Expiry(proxy.id); expiry.has_value()) view.certificates[proxy.id] = *expiry;
  }
  view.root_not_after = context_.trust->authority().root_not_after();
  view.root_spki_sha256 = context_.trust->root_spki_hex();
  view.serving_not_after = context_.trust->context()->not_after();
  view.certificate_lifetime = context_.trust->certificate_lifetime();
  responder.Send(Response::Json(200, Dump(StatusJson(view))));
}

void Admin::GetMetrics(Responder responder) {
  const auto snapshot = context_.store->snapshot();
  const WallTime now = context_.loop->wall_now();
  MetricsView view;
  view.version = context_.version;
  view.generation = snapshot->generation;
  for (const auto& [key, object] : snapshot->objects) ++view.objects[std::string(KindName(key.kind))];
  view.rejected = snapshot->rejected.size();
  view.problems = context_.ads->mesh()->problems().size();
  for (const ProxyStatus& proxy : context_.ads->Status()) {
    if (!proxy.connected) continue;
    ++view.connected;
    if (ProxyState(proxy, snapshot->generation) == "READY") ++view.in_force;
  }
  view.ads = context_.ads->counts();
  view.certificates_issued = context_.identity->issued();
  view.certificates_refused = context_.identity->refused();
  view.root_expiry_s = UnixSeconds(context_.trust->authority().root_not_after()) - UnixSeconds(now);
  view.serving_expiry_s = UnixSeconds(context_.trust->context()->not_after()) - UnixSeconds(now);
  responder.Send({200, "text/plain; version=0.0.4; charset=utf-8", MetricsText(view), {}});
}

void Admin::ListObjects(const Request& request, Responder responder) {
  std::optional<Kind> kind;
  if (!request.parameters.empty()) {
    kind = KindFromName(request.parameters[0]);
    if (!kind.has_value()) return responder.Send(Failure(404, "there is no kind \"" + request.parameters[0] + "\""));
  }
  const std::string_view wanted = request.Query("namespace");
  const auto snapshot = context_.store->snapshot();
  Json list = Json::array();
  std::string yaml;
  for (const auto& [key, object] : snapshot->objects) {
    if (kind.has_value() && key.kind != *kind) continue;
    if (!wanted.empty() && key.namespace_ != wanted) continue;
    if (WantsYaml(request)) {
      yaml += (yaml.empty() ? "" : "---\n") + Yaml(*object);
      continue;
    }
    Json item = KeyJson(key);
    item["origin"] = object->origin.ToString();
    item["object"] = DocumentJson(*object);
    list.push_back(std::move(item));
  }
  if (WantsYaml(request)) return responder.Send({200, "application/yaml", std::move(yaml), {}});
  responder.Send(Response::Json(200, Dump({{"generation", snapshot->generation}, {"items", std::move(list)}})));
}

void Admin::GetObject(const Request& request, Responder responder) {
  const std::optional<ObjectKey> key = KeyOf(request);
  if (!key.has_value()) return responder.Send(Failure(404, "there is no kind \"" + request.parameters[0] + "\""));
  const auto snapshot = context_.store->snapshot();
  auto it = snapshot->objects.find(*key);
  if (it == snapshot->objects.end()) return responder.Send(Failure(404, key->ToString() + " is not declared"));
  if (WantsYaml(request)) return responder.Send({200, "application/yaml", Yaml(*it->second), {}});
  Json item = KeyJson(*key);
  item["origin"] = it->second->origin.ToString();
  item["object"] = DocumentJson(*it->second);
  responder.Send(Response::Json(200, Dump(item)));
}

void Admin::GetConfig(const Request& request, Responder responder) {
  const ProxyId id{request.parameters[0], request.parameters[1]};
  absl::StatusOr<ResourceSet> resources = context_.ads->mesh()->For(id);
  if (!resources.ok()) return responder.Send(Failure(resources.status()));
  absl::StatusOr<std::string> text = ConfigJson(id, context_.ads->mesh()->generation(), *resources);
  if (!text.ok()) return responder.Send(Failure(text.status()));
  responder.Send(Response::Json(200, std::move(*text)));
}

// ---------------------------------------------------------------- writing

void Admin::ApplyObjects(const Request& request, Responder responder) {
  if (!Authorised(request, &responder)) return;
  std::optional<Duration> wait;
  if (!ReadWait(request, &wait)) return responder.Send(Failure(400, "wait must be a duration up to 10m, as in 10s"));
  const std::string_view dry = request.Query("dry_run");
  if (!dry.empty() && dry != "true" && dry != "false") return responder.Send(Failure(400, "dry_run must be true or false"));

  std::vector<Problem> problems;
  const auto applied = context_.store->Apply(request.body, dry == "true", &problems);
  if (!applied.ok()) {
    Json body;
    body["error"] = std::string(applied.status().message());
    if (!problems.empty()) {
      body["problems"] = Json::array();
      for (const Problem& problem : problems) body["problems"].push_back(ProblemJson(problem));
    }
    return responder.Send(Response::Json(HttpStatus(applied.status()), Dump(body)));
  }
  Json body;
  body["generation"] = applied->generation;
  body["objects"] = Json::array();
  for (const Store::Applied& object : applied->objects) {
    Json item = KeyJson(object.key);
    item["action"] = ActionName(object.action);
    body["objects"].push_back(std::move(item));
    if (dry != "true") {
      context_.log(LogLevel::kInfo, "applied", {{"object", object.key.ToString()}, {"action", std::string(ActionName(object.action))}});
    }
  }
  Finish(std::move(body), applied->generation, dry == "true" ? std::nullopt : wait, std::move(responder));
}

void Admin::DeleteObject(const Request& request, Responder responder) {
  if (!Authorised(request, &responder)) return;
  std::optional<Duration> wait;
  if (!ReadWait(request, &wait)) return responder.Send(Failure(400, "wait must be a duration up to 10m, as in 10s"));
  const std::optional<ObjectKey> key = KeyOf(request);
  if (!key.has_value()) return responder.Send(Failure(404, "there is no kind \"" + request.parameters[0] + "\""));
  const absl::StatusOr<uint64_t> generation = context_.store->Delete(*key);
  if (!generation.ok()) return responder.Send(Failure(generation.status()));
  context_.log(LogLevel::kInfo, "deleted", {{"object", key->ToString()}});
  Json body;
  body["generation"] = *generation;
  body["objects"] = Json::array();
  Json item = KeyJson(*key);
  item["action"] = "deleted";
  body["objects"].push_back(std::move(item));
  Finish(std::move(body), *generation, wait, std::move(responder));
}

void Admin::CreateToken(const Request& request, Responder responder) {
  if (!Authorised(request, &responder)) return;
  const Json body = Json::parse(request.body, nullptr, false);
  if (!body.is_object() || !body.contains("workload") || !body["workload"].is_string()) {
    return responder.Send(Failure(400, "expected {\"workload\": \"NAMESPACE/NAME\", \"lifetime\": \"24h\"}"));
  }
  const std::string workload = body["workload"].get<std::string>();
  const std::optional<ProxyId> id = ParseProxyId(workload);
  if (!id.has_value()) return responder.Send(Failure(400, "workload must be NAMESPACE/NAME, in the letters Kubernetes allows for names"));
  std::optional<Duration> lifetime = TokenStore::kDefaultLifetime;
  if (body.contains("lifetime")) {
    lifetime = body["lifetime"].is_string() ? ParseDuration(body["lifetime"].get<std::string>()) : std::nullopt;
    if (!lifetime.has_value()) return responder.Send(Failure(400, "lifetime must be a duration, as in 24h"));
  }
  const WallTime now = context_.loop->wall_now();
  const Result<std::string> secret = context_.tokens->Create(workload, *lifetime, now);
  if (!secret.ok()) {
    const ErrorCode code = secret.error().code;
    return responder.Send(Failure(code == ErrorCode::kInvalid ? 400 : code == ErrorCode::kOverload ? 429 : 500, secret.error().detail));
  }
  context_.log(LogLevel::kInfo, "join token created", {{"workload", workload}, {"lifetime", FormatDuration(*lifetime)}});
  Json answer;
  answer["workload"] = workload;
  answer["token"] = *secret + "." + context_.trust->root_spki_hex();
  answer["expires"] = tls::FormatTime(now + *lifetime);
  answer["declared"] = context_.ads->mesh()->Find(*id) != nullptr;
  responder.Send(Response::Json(200, Dump(answer)));
}

// ---------------------------------------------------------------- waiting for proxies

// Connected proxies that have not accepted `generation`, and why.
Json Admin::Behind(uint64_t generation) const {
  Json behind = Json::array();
  for (const ProxyStatus& proxy : context_.ads->Status()) {
    if (!proxy.connected || proxy.generation >= generation) continue;
    Json item;
    item["workload"] = proxy.id.ToString();
    item["generation"] = proxy.generation;
    item["state"] = ProxyState(proxy, generation);
    for (Type type : kAllTypes) {
      const TypeStatus& status = proxy.types[static_cast<size_t>(type)];
      if (status.refused) item["reason"] = std::string(TypeName(type)) + ": " + status.reason;
    }
    behind.push_back(std::move(item));
  }
  return behind;
}

void Admin::Finish(Json body, uint64_t generation, std::optional<Duration> wait, Responder responder) {
  if (!wait.has_value()) return responder.Send(Response::Json(200, Dump(body)));
  waiters_.emplace_back(this, std::move(body), generation, std::move(responder));
  Waiter* waiter = &waiters_.back();
  waiter->since = context_.loop->now();
  if (draining_ || Behind(generation).empty()) return Answer(waiter);
  context_.loop->Arm(waiter, *wait);
}

void Admin::Answer(Waiter* waiter) {
  Json behind = Behind(waiter->generation);
  waiter->body["in_force"] = behind.empty();
  waiter->body["proxies"] = context_.ads->connected();
  waiter->body["waited_ms"] = Milliseconds(context_.loop->now() - waiter->since);
  waiter->body["behind"] = std::move(behind);
  const std::string text = Dump(waiter->body);
  Responder responder = std::move(waiter->respond);
  waiters_.remove_if([waiter](const Waiter& item) { return &item == waiter; });
  responder.Send(Response::Json(200, text));
}

void Admin::OnProgress() {
  std::vector<Waiter*> ready;
  for (Waiter& waiter : waiters_) {
    if (!waiter.respond.alive() || Behind(waiter.generation).empty()) ready.push_back(&waiter);
  }
  for (Waiter* waiter : ready) Answer(waiter);
}

}  // namespace outrigger::control
