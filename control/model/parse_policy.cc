// outrigger.dev/v1 TrafficPolicy and MeshPolicy.
#include <algorithm>
#include <set>

#include "control/model/reader.h"

namespace outrigger::control {
namespace {

constexpr Duration kNoTime{};
constexpr Duration kLongest = std::chrono::hours(24);
constexpr Duration kMoment = std::chrono::milliseconds(1);

// What a retry may be asked for: the words of xDS retry_on that the proxy knows.
constexpr std::string_view kRetryOn[] = {"connect-failure", "refused-stream", "reset", "gateway-error", "5xx", "retriable-status-codes"};

std::optional<LoadBalancing> ReadLoadBalancing(Document* document, const Value& value) {
  Fields fields(document, value);
  std::optional<LoadBalancing> out;
  if (auto algorithm = fields.Require("algorithm")) {
    std::optional<size_t> index = document->OneOf(*algorithm, {"leastRequest", "roundRobin", "random"});
    if (index) out = static_cast<LoadBalancing>(*index);
  }
  fields.NotYet({"consistentHash", "localityPreference", "slowStart", "panicThreshold"});
  fields.Done();
  return out;
}

void ReadRetryOn(Document* document, const Value& list, RetrySettings* retry) {
  retry->on.emplace();
  document->Each(list, 20, [&](const Value& item) {
    std::optional<std::string> word = document->String(item);
    if (!word) return;
    std::vector<std::string_view> words(std::begin(kRetryOn), std::end(kRetryOn));
    if (std::find(words.begin(), words.end(), *word) == words.end()) {
      std::string_view nearest = Nearest(*word, words);
      document->Report(item, Cat("unknown condition ", Quoted(*word),
                                 nearest.empty() ? std::string("; known are connect-failure, refused-stream, reset, gateway-error, 5xx, "
                                                               "retriable-status-codes")
                                                 : Cat("; did you mean \"", nearest, "\"?")));
      return;
    }
    if (std::find(retry->on->begin(), retry->on->end(), *word) != retry->on->end()) {
      document->Report(item, Cat(Quoted(*word), " stands here twice"));
      return;
    }
    retry->on->push_back(*word);
  });
}

RetryBudget ReadBudget(Document* document, const Value& value) {
  RetryBudget budget;
  Fields fields(document, value);
  if (auto ratio = fields.Get("ratio")) budget.ratio = document->Number(*ratio, 0, 1).value_or(budget.ratio);
  if (auto floor = fields.Get("minPerSecond"))
    budget.min_per_second = document->Number(*floor, 0, 1'000'000).value_or(budget.min_per_second);
  fields.Done();
  return budget;
}

RetrySettings ReadRetry(Document* document, const Value& value) {
  RetrySettings retry;
  Fields fields(document, value);
  if (auto attempts = fields.Get("attempts")) {
    if (auto number = document->Integer(*attempts, 0, 10)) retry.attempts = static_cast<uint32_t>(*number);
  }
  if (auto on = fields.Get("on")) ReadRetryOn(document, *on, &retry);
  if (auto codes = fields.Get("statusCodes")) {
    document->Each(*codes, 100, [&](const Value& item) {
      if (auto code = document->Integer(item, 400, 599)) retry.status_codes.push_back(static_cast<int>(*code));
    });
    std::sort(retry.status_codes.begin(), retry.status_codes.end());
    retry.status_codes.erase(std::unique(retry.status_codes.begin(), retry.status_codes.end()), retry.status_codes.end());
  }
  if (retry.on && retry.status_codes.empty() &&
      std::find(retry.on->begin(), retry.on->end(), "retriable-status-codes") != retry.on->end()) {
    document->Report(value.line(), Cat(value.path, ".statusCodes"), "is required by the condition \"retriable-status-codes\"");
  }
  if (auto time = fields.Get("perTryTimeout")) retry.per_try_timeout = document->Time(*time, kMoment, kLongest);
  if (auto backoff = fields.Get("backoff")) {
    Fields steps(document, *backoff);
    if (auto base = steps.Get("base")) retry.backoff_base = document->Time(*base, kMoment, std::chrono::minutes(5));
    if (auto max = steps.Get("max")) retry.backoff_max = document->Time(*max, kMoment, std::chrono::minutes(5));
    steps.Done();
    if (retry.backoff_base && retry.backoff_max && *retry.backoff_max < *retry.backoff_base) {
      document->Report(backoff->line(), Cat(backoff->path, ".max"), "must not be less than base");
    }
  }
  if (auto budget = fields.Get("budget")) retry.budget = ReadBudget(document, *budget);
  fields.Done();
  return retry;
}

TimeoutSettings ReadTimeout(Document* document, const Value& value) {
  TimeoutSettings timeout;
  Fields fields(document, value);
  if (auto time = fields.Get("request")) timeout.request = document->Time(*time, kNoTime, kLongest);
  if (auto time = fields.Get("connect")) timeout.connect = document->Time(*time, kMoment, std::chrono::minutes(5));
  if (auto time = fields.Get("idle")) timeout.idle = document->Time(*time, kMoment, kLongest);
  fields.Done();
  return timeout;
}

TrafficSettings ReadSettings(Fields& fields) {
  TrafficSettings settings;
  Document* document = fields.document();
  if (auto value = fields.Get("loadBalancing")) settings.load_balancing = ReadLoadBalancing(document, *value);
  if (auto value = fields.Get("retry")) settings.retry = ReadRetry(document, *value);
  if (auto value = fields.Get("timeout")) settings.timeout = ReadTimeout(document, *value);
  fields.NotYet({"connectionLimits", "connections", "circuitBreaker", "outlierDetection", "healthCheck", "hedging",
                 "admission", "rateLimit"});
  return settings;
}

TargetRef ReadTarget(Document* document, const Value& value) {
  TargetRef target;
  target.line = value.line();
  Fields fields(document, value);
  if (auto group = fields.Get("group")) document->OneOf(*group, {"", "core"});
  if (auto kind = fields.Require("kind")) document->OneOf(*kind, {"Service"});
  if (auto name = fields.Require("name")) target.name = document->Label(*name).value_or("");
  if (auto section = fields.Get("sectionName")) target.section_name = document->Label(*section).value_or("");
  fields.Refuse("namespace", "a policy holds for Services of its own namespace; leave the field out");
  fields.Done();
  return target;
}

}  // namespace

Spec ParseTrafficPolicy(Fields& root) {
  TrafficPolicy policy;
  Document* document = root.document();
  root.Ignore({"status"});
  std::optional<Value> value = root.Require("spec");
  if (!value) return policy;
  Fields spec(document, *value);
  if (auto targets = spec.Require("targetRefs")) {
    if (targets->node->type == YamlNode::Type::kSequence && targets->node->items.empty()) {
      document->Report(*targets, "must name at least one Service");
    }
    std::set<std::pair<std::string, std::string>> seen;
    document->Each(*targets, 1000, [&](const Value& item) {
      TargetRef target = ReadTarget(document, item);
      if (!target.name.empty() && !seen.insert({target.name, target.section_name}).second) {
        document->Report(item, Cat(Quoted(target.name), " stands here twice"));
      }
      policy.targets.push_back(std::move(target));
    });
  }
  policy.settings = ReadSettings(spec);
  spec.Done();
  return policy;
}

Spec ParseMeshPolicy(Fields& root) {
  MeshPolicy policy;
  Document* document = root.document();
  root.Ignore({"status"});
  std::optional<Value> value = root.Require("spec");
  if (!value) return policy;
  Fields spec(document, *value);
  if (auto domain = spec.Get("trustDomain")) policy.trust_domain = document->Subdomain(*domain).value_or("");
  if (auto mtls = spec.Get("mtls")) {
    std::optional<size_t> index = document->OneOf(*mtls, {"strict", "permissive"});
    if (index) policy.mtls = static_cast<MtlsMode>(*index);
  }
  if (auto defaults = spec.Get("defaults")) {
    Fields fields(document, *defaults);
    policy.defaults = ReadSettings(fields);
    fields.Done();
  }
  if (auto log = spec.Get("accessLog")) {
    Fields fields(document, *log);
    if (auto requests = fields.Require("requests")) {
      std::optional<size_t> index = document->OneOf(*requests, {"all", "errors", "none"});
      if (index) policy.access_log = static_cast<AccessLog>(*index);
    }
    fields.NotYet({"format", "path", "sample", "otlp"});
    fields.Done();
  }
  spec.NotYet({"tracing", "hop"});
  spec.Done();
  return policy;
}

}  // namespace outrigger::control
