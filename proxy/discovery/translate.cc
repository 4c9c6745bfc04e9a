#include "proxy/discovery/translate.h"

#include <algorithm>
#include <map>

#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "proxy/discovery/fields.h"

namespace outrigger::discovery {
namespace {

namespace core = envoy::config::core::v3;
namespace tls_v3 = envoy::extensions::transport_sockets::tls::v3;
namespace hcm_v3 = envoy::extensions::filters::network::http_connection_manager::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;

constexpr char kOurs[] = "outrigger.dev";

// The TLS settings that may stand in a context: own leaf and roots by name, TLS 1.3, the peer's SPIFFE ids.
absl::Status ReadCommonTls(const tls_v3::CommonTlsContext& in, const std::string& where, std::vector<std::string>* accepted_ids) {
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where, {"tls_params", "combined_validation_context", "validation_context_sds_secret_config",
                                                   "alpn_protocols", "tls_certificate_sds_secret_configs"}));
  if (in.tls_certificate_sds_secret_configs_size() != 1 || in.tls_certificate_sds_secret_configs(0).name() != "default") {
    return Invalid(where, "tls_certificate_sds_secret_configs must name the secret \"default\" (this workload's own certificate)");
  }
  const auto& params = in.tls_params();
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(
      params, where + ".tls_params", {"tls_minimum_protocol_version", "tls_maximum_protocol_version", "ecdh_curves"}));
  if (params.tls_maximum_protocol_version() != tls_v3::TlsParameters::TLS_AUTO &&
      params.tls_maximum_protocol_version() != tls_v3::TlsParameters::TLSv1_3) {
    return Invalid(where, "only TLS 1.3 is spoken between workloads");
  }
  const bool combined = in.has_combined_validation_context();
  if (!combined && !in.has_validation_context_sds_secret_config()) return Invalid(where, "says nothing about verifying the peer");
  const auto& roots = combined ? in.combined_validation_context().validation_context_sds_secret_config()
                               : in.validation_context_sds_secret_config();
  if (roots.name() != "ROOTCA") return Invalid(where, "validation_context_sds_secret_config must name the secret \"ROOTCA\"");
  if (!combined) return absl::OkStatus();
  const auto& validation = in.combined_validation_context().default_validation_context();
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(validation, where + ".default_validation_context", {"match_typed_subject_alt_names"}));
  for (const auto& san : validation.match_typed_subject_alt_names()) {
    if (san.san_type() != tls_v3::SubjectAltNameMatcher::URI ||
        san.matcher().match_pattern_case() != envoy::type::matcher::v3::StringMatcher::kExact) {
      return Invalid(where, "match_typed_subject_alt_names: only exact URIs are supported by this proxy");
    }
    accepted_ids->push_back(san.matcher().exact());
  }
  return absl::OkStatus();
}

absl::Status ReadHttpFilters(const hcm_v3::HttpConnectionManager& hcm, const std::string& where) {
  for (const auto& filter : hcm.http_filters()) {
    if (filter.typed_config().Is<envoy::extensions::filters::http::router::v3::Router>()) continue;
    if (filter.is_optional() || filter.disabled()) continue;
    return Invalid(where, absl::StrCat("http_filters: ", filter.name(), " is not supported by this proxy"));
  }
  return absl::OkStatus();
}

absl::StatusOr<config::FilterChain> ToChain(const envoy::config::listener::v3::FilterChain& in, const std::string& where) {
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, where, {"name", "filter_chain_match", "filters", "metadata", "transport_socket"}));
  config::FilterChain out;
  out.name = in.name();
  const auto& match = in.filter_chain_match();
  OUTRIGGER_RETURN_IF_ERROR(
      OnlyFields(match, where + ".filter_chain_match",
                 {"destination_port", "transport_protocol", "application_protocols", "server_names"}));
  out.server_names.assign(match.server_names().begin(), match.server_names().end());
  if (match.transport_protocol() == "tls") out.tls = true;
  else if (match.transport_protocol() == "raw_buffer") out.tls = false;
  else if (!match.transport_protocol().empty())
    return Invalid(where, absl::StrCat("transport_protocol \"", match.transport_protocol(), "\" is unknown"));
  if (match.has_destination_port()) {
    if (match.destination_port().value() > 65535) return Invalid(where, "destination_port is above 65535");
    out.destination_port = static_cast<uint16_t>(match.destination_port().value());
  }

  if (in.has_transport_socket() && in.transport_socket().typed_config().Is<tls_v3::DownstreamTlsContext>()) {
    tls_v3::DownstreamTlsContext tls;
    if (!in.transport_socket().typed_config().UnpackTo(&tls)) return Invalid(where, "transport_socket cannot be parsed");
    OUTRIGGER_RETURN_IF_ERROR(OnlyFields(tls, where + ".transport_socket", {"common_tls_context", "require_client_certificate"}));
    if (!tls.require_client_certificate().value())
      return Invalid(where, "require_client_certificate must be true: callers prove who they are");
    std::vector<std::string> callers;
    OUTRIGGER_RETURN_IF_ERROR(ReadCommonTls(tls.common_tls_context(), where + ".common_tls_context", &callers));
    if (!callers.empty()) return Invalid(where, "a list of accepted callers is not supported by this proxy: use an authorization policy");
    out.terminate_tls = true;
  } else if (in.has_transport_socket() && in.transport_socket().name() != "envoy.transport_sockets.raw_buffer") {
    return Invalid(where, absl::StrCat("transport_socket ", in.transport_socket().name(), " is not supported by this proxy"));
  }

  if (in.filters_size() != 1 || !in.filters(0).typed_config().Is<hcm_v3::HttpConnectionManager>()) {
    return Invalid(where, "filters must be exactly one HttpConnectionManager");
  }
  hcm_v3::HttpConnectionManager hcm;
  if (!in.filters(0).typed_config().UnpackTo(&hcm)) return Invalid(where, "filters[0] cannot be parsed");
  OUTRIGGER_RETURN_IF_ERROR(
      OnlyFields(hcm, where + ".http_connection_manager",
                 {"codec_type", "stat_prefix", "rds", "route_config", "http_filters", "generate_request_id",
                  "access_log", "use_remote_address", "forward_client_cert_details", "set_current_client_cert_details",
                  "common_http_protocol_options", "http2_protocol_options", "upgrade_configs", "stream_idle_timeout"}));
  OUTRIGGER_RETURN_IF_ERROR(ReadHttpFilters(hcm, where));
  if (hcm.has_rds()) {
    out.route_table = hcm.rds().route_config_name();
    if (out.route_table.empty()) return Invalid(where, "rds.route_config_name is empty");
  } else if (hcm.has_route_config()) {
    auto routes = Translate(hcm.route_config());
    if (!routes.ok()) return Invalid(where + ".route_config", std::string(routes.status().message()));
    out.inline_routes = *std::move(routes);
  } else {
    return Invalid(where, "has neither rds nor route_config");
  }

  // "orders.default:80", the first of the list, labels the metrics.
  if (const google::protobuf::Struct* ours = FindMetadata(in.metadata(), kOurs)) {
    const auto services = ours->fields().find("services");
    if (services != ours->fields().end() && services->second.list_value().values_size() > 0) {
      const std::string first = services->second.list_value().values(0).string_value();
      const size_t dot = first.find('.');
      const size_t colon = first.find(':');
      if (dot != std::string::npos && colon != std::string::npos && dot < colon) {
        out.service = first.substr(0, dot);
        out.service_namespace = first.substr(dot + 1, colon - dot - 1);
        out.service_port = static_cast<uint16_t>(std::strtoul(first.c_str() + colon + 1, nullptr, 10));
      }
    }
  }
  return out;
}

// Our own metadata, because xDS knows only a share of active requests, which turns high load into a lasting outage.
absl::Status ReadRetryBudget(const google::protobuf::Struct* ours, config::RetryBudget* out) {
  using google::protobuf::Value;
  constexpr char kWhere[] = "metadata.outrigger.dev.retry_budget";
  if (ours == nullptr) return absl::OkStatus();
  const auto budget = ours->fields().find("retry_budget");
  if (budget == ours->fields().end()) return absl::OkStatus();
  if (budget->second.kind_case() != Value::kStructValue) return Invalid(kWhere, "must be {ratio, min_per_second}");
  // Ordered, so that of two mistakes always the same one is told.
  const std::map<std::string, Value> fields(budget->second.struct_value().fields().begin(), budget->second.struct_value().fields().end());
  for (const auto& [name, value] : fields) {
    const bool ratio = name == "ratio";
    if (!ratio && name != "min_per_second") return Invalid(kWhere, absl::StrCat(name, " is not known to this proxy"));
    const double number = value.number_value();
    // Written so that NaN is refused, too.
    const bool good = value.kind_case() == Value::kNumberValue && number >= 0 && number <= (ratio ? 1 : 1e6);
    if (!good) return Invalid(absl::StrCat(kWhere, ".", name), ratio ? "must be 0 to 1" : "must be 0 to 1000000");
    (ratio ? out->ratio : out->min_per_second) = number;
  }
  return absl::OkStatus();
}

absl::Status ReadTransportMatches(const Cluster& in, config::Cluster* out) {
  const auto read = [&](const core::TransportSocket& socket, bool mesh_only, const std::string& where) -> absl::Status {
    if (socket.typed_config().Is<tls_v3::UpstreamTlsContext>()) {
      tls_v3::UpstreamTlsContext tls;
      if (!socket.typed_config().UnpackTo(&tls)) return Invalid(where, "cannot be parsed");
      OUTRIGGER_RETURN_IF_ERROR(OnlyFields(tls, where, {"common_tls_context", "sni", "max_session_keys"}));
      out->mesh = true;
      out->sni = tls.sni();
      const std::string context = where + ".common_tls_context";
      const size_t before = out->accepted_ids.size();
      OUTRIGGER_RETURN_IF_ERROR(ReadCommonTls(tls.common_tls_context(), context, &out->accepted_ids));
      if (out->accepted_ids.size() == before) {
        return Invalid(context, "match_typed_subject_alt_names is empty, and that would trust everybody in the mesh");
      }
      return absl::OkStatus();
    }
    if (socket.name() != "envoy.transport_sockets.raw_buffer" || mesh_only)
      return Invalid(where, absl::StrCat(socket.name(), " is not supported by this proxy"));
    out->allow_plaintext = true;
    return absl::OkStatus();
  };
  for (int i = 0; i < in.transport_socket_matches_size(); ++i) {
    const auto& match = in.transport_socket_matches(i);
    const std::string where = absl::StrCat("transport_socket_matches[", match.name(), "]");
    const auto mode = match.match().fields().find("tlsMode");
    const bool mesh = mode != match.match().fields().end() && mode->second.string_value() == "mesh";
    if (!mesh && match.match().fields_size() > 0) return Invalid(where, "only {tlsMode: mesh} and {} are matched by this proxy");
    OUTRIGGER_RETURN_IF_ERROR(read(match.transport_socket(), mesh, where));
  }
  if (in.has_transport_socket()) OUTRIGGER_RETURN_IF_ERROR(read(in.transport_socket(), false, "transport_socket"));
  if (in.transport_socket_matches_size() == 0 && !in.has_transport_socket()) out->allow_plaintext = true;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<config::Listener> Translate(const Listener& in) {
  OUTRIGGER_RETURN_IF_ERROR(
      OnlyFields(in, "",
                 {"name", "address", "filter_chains", "metadata", "traffic_direction", "stat_prefix",
                  "enable_reuse_port", "bind_to_port", "access_log", "use_original_dst", "listener_filters"}));
  config::Listener out;
  out.name = in.name();
  const google::protobuf::Struct* ours = FindMetadata(in.metadata(), kOurs);
  const bool inbound = TextField(ours, "direction") == "inbound" || in.traffic_direction() == core::INBOUND;
  out.direction = inbound ? config::Direction::kInbound : config::Direction::kOutbound;
  out.permissive = TextField(ours, "mtls") == "permissive";
  const std::string access_log = TextField(ours, "access_log");
  if (access_log == "all") {
    out.access_log = config::AccessLog::kAll;
  } else if (access_log == "none") {
    out.access_log = config::AccessLog::kNone;
  } else if (!access_log.empty() && access_log != "errors") {
    return Invalid("metadata.outrigger.dev.access_log", absl::StrCat(access_log, " is none of all, errors, none"));
  }
  auto address = ToAddress(in.address(), "address");
  if (!address.ok()) return address.status();
  out.address = *address;
  for (int i = 0; i < in.filter_chains_size(); ++i) {
    const std::string& name = in.filter_chains(i).name();
    auto chain = ToChain(in.filter_chains(i), absl::StrCat("filter_chains[", name.empty() ? std::to_string(i) : name, "]"));
    if (!chain.ok()) return chain.status();
    out.chains.push_back(*std::move(chain));
  }
  return out;
}

absl::StatusOr<config::EndpointSet> Translate(const ClusterLoadAssignment& in) {
  OUTRIGGER_RETURN_IF_ERROR(OnlyFields(in, "", {"cluster_name", "endpoints", "policy"}));
  config::EndpointSet out;
  out.cluster = in.cluster_name();
  for (int l = 0; l < in.endpoints_size(); ++l) {
    const auto& locality = in.endpoints(l);
    const std::string where = absl::StrCat("endpoints[", l, "]");
    OUTRIGGER_RETURN_IF_ERROR(OnlyFields(locality, where, {"locality", "lb_endpoints", "load_balancing_weight", "metadata", "proximity"}));
    const std::string place = locality.has_locality()
                                  ? absl::StrCat(locality.locality().region(), "/", locality.locality().zone(), "/",
                                                 locality.locality().sub_zone())
                                  : "";
    for (int e = 0; e < locality.lb_endpoints_size(); ++e) {
      const auto& endpoint = locality.lb_endpoints(e);
      const std::string at = absl::StrCat(where, ".lb_endpoints[", e, "]");
      OUTRIGGER_RETURN_IF_ERROR(OnlyFields(endpoint, at, {"endpoint", "health_status", "metadata", "load_balancing_weight"}));
      auto address = ToAddress(endpoint.endpoint().address(), at + ".endpoint.address");
      if (!address.ok()) return address.status();
      config::Endpoint made;
      made.address = *address;
      made.address_text = address->ToString();
      made.locality = place;
      if (endpoint.has_load_balancing_weight()) made.weight = endpoint.load_balancing_weight().value();
      if (made.weight == 0) return Invalid(at, "load_balancing_weight must be at least 1");
      made.mesh = TextField(FindMetadata(endpoint.metadata(), "envoy.transport_socket_match"), "tlsMode") == "mesh";
      const google::protobuf::Struct* ours = FindMetadata(endpoint.metadata(), kOurs);
      made.workload = TextField(ours, "workload");
      made.workload_namespace = TextField(ours, "namespace");
      made.identity = TextField(ours, "identity");
      made.sni = TextField(ours, "sni");
      switch (endpoint.health_status()) {
        case core::UNKNOWN:
        case core::HEALTHY:
        case core::DEGRADED: made.health = config::Health::kHealthy; break;
        case core::DRAINING: made.health = config::Health::kDraining; break;
        default: made.health = config::Health::kUnhealthy; break;
      }
      out.endpoints.push_back(std::move(made));
    }
  }
  return out;
}

absl::StatusOr<config::Cluster> Translate(const Cluster& in) {
  OUTRIGGER_RETURN_IF_ERROR(
      OnlyFields(in, "",
                 {"name", "type", "eds_cluster_config", "connect_timeout", "lb_policy", "transport_socket",
                  "transport_socket_matches", "metadata", "typed_extension_protocol_options", "load_assignment",
                  "alt_stat_name", "wait_for_warm_on_init", "per_connection_buffer_limit_bytes",
                  "least_request_lb_config", "round_robin_lb_config"}));
  config::Cluster out;
  out.name = in.name();
  switch (in.lb_policy()) {
    case Cluster::ROUND_ROBIN: out.lb_policy = config::LbPolicy::kRoundRobin; break;
    case Cluster::LEAST_REQUEST: out.lb_policy = config::LbPolicy::kLeastRequest; break;
    case Cluster::RANDOM: out.lb_policy = config::LbPolicy::kRandom; break;
    default: return Invalid("lb_policy", absl::StrCat(Cluster::LbPolicy_Name(in.lb_policy()), " is not supported by this proxy"));
  }
  out.connect_timeout = std::chrono::seconds(5);
  if (in.has_connect_timeout()) {
    auto timeout = ToDuration(in.connect_timeout(), "connect_timeout");
    if (!timeout.ok()) return timeout.status();
    out.connect_timeout = *timeout;
  }
  if (in.type() == Cluster::EDS) {
    out.endpoints_name = in.eds_cluster_config().service_name().empty() ? in.name() : in.eds_cluster_config().service_name();
  } else if (in.type() == Cluster::STATIC) {
    out.discovered = false;
    auto endpoints = Translate(in.load_assignment());
    if (!endpoints.ok()) return Invalid("load_assignment", std::string(endpoints.status().message()));
    out.inline_endpoints = *std::move(endpoints);
  } else {
    return Invalid("type", absl::StrCat(Cluster::DiscoveryType_Name(in.type()), " is not supported by this proxy"));
  }
  for (const auto& [name, options] : in.typed_extension_protocol_options()) {
    envoy::extensions::upstreams::http::v3::HttpProtocolOptions http;
    if (!options.UnpackTo(&http)) return Invalid("typed_extension_protocol_options", absl::StrCat(name, " is not supported by this proxy"));
    if (http.has_explicit_http_config() && http.explicit_http_config().has_http2_protocol_options())
      out.protocol = config::UpstreamProtocol::kHttp2;
    if (http.common_http_protocol_options().has_idle_timeout()) {
      auto idle = ToDuration(http.common_http_protocol_options().idle_timeout(), "idle_timeout");
      if (!idle.ok()) return idle.status();
      if (*idle > Duration::zero()) out.idle_timeout = *idle;
    }
  }
  OUTRIGGER_RETURN_IF_ERROR(ReadTransportMatches(in, &out));
  const google::protobuf::Struct* ours = FindMetadata(in.metadata(), kOurs);
  OUTRIGGER_RETURN_IF_ERROR(ReadRetryBudget(ours, &out.retry_budget));
  out.service = TextField(ours, "service");
  out.service_namespace = TextField(ours, "namespace");
  if (in.name().starts_with("inbound|")) {
    out.inbound_port = static_cast<uint16_t>(NumberField(ours, "port"));
  } else {
    out.service_port = static_cast<uint16_t>(NumberField(ours, "port"));
  }
  return out;
}

}  // namespace outrigger::discovery
