#include "tools/cli/control_client.h"

#include <charconv>
#include <cstdlib>
#include <utility>

namespace outrigger::cli {

namespace {

constexpr Duration kAnswerTime = std::chrono::seconds(10);

class Alarm final : public Timer {
 public:
  explicit Alarm(io::UvLoop* loop) : loop_(loop) {}

 protected:
  void OnTimer() override { loop_->Stop(); }

 private:
  io::UvLoop* const loop_;
};

}  // namespace

std::string Escape(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[static_cast<uint8_t>(c) >> 4], kHex[static_cast<uint8_t>(c) & 15]};
    }
  }
  return out;
}

ControlClient::ControlClient(std::string control, std::string data_dir) : control_(std::move(control)), loop_(1) { ReadToken(data_dir); }
ControlClient::~ControlClient() = default;

void ControlClient::ReadToken(const std::string& data_dir) {
  if (const char* token = getenv("OUTRIGGER_TOKEN"); token != nullptr && token[0] != '\0') {
    token_ = token;
    return;
  }
  const std::string path = data_dir + "/admin.token";
  Result<std::string> text = loop_.files().Read(path, 4096);
  if (!text.ok()) {
    token_problem_ = "no admin token: " + text.error().detail +
                     "; set OUTRIGGER_TOKEN, or name the control plane's data folder with --data-dir or OUTRIGGER_DATA_DIR";
    return;
  }
  token_ = *text;
  while (!token_.empty() && (token_.back() == '\n' || token_.back() == '\r')) token_.pop_back();
}

Result<net::Address> ControlClient::Resolve() {
  Result<net::Address> numeric = net::Address::Parse(control_);
  if (numeric.ok()) return numeric;
  const size_t colon = control_.rfind(':');
  uint16_t port = 0;
  const std::string_view digits = colon == std::string::npos ? "" : std::string_view(control_).substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (colon == 0 || error != std::errc() || end != digits.data() + digits.size() || port == 0) {
    return Error::Make(ErrorCode::kInvalid, "\"" + control_ + "\" is not HOST:PORT");
  }
  Result<net::Address> result = Error::Make(ErrorCode::kTimeout, "the name was not resolved in time");
  Alarm alarm(&loop_);
  loop_.Arm(&alarm, kAnswerTime);
  auto resolution = loop_.Resolve(control_.substr(0, colon), port, [&](Result<std::vector<net::Address>> addresses) {
    if (addresses.ok() && !addresses->empty()) {
      result = addresses->front();
    } else {
      result = addresses.ok() ? Error::Make(ErrorCode::kNotFound, "the name has no address") : addresses.error();
    }
    loop_.Stop();
  });
  loop_.Run();
  return result;
}

Result<ControlClient::Answer> ControlClient::Call(admin::HttpRequest request, Duration patience) {
  if (!address_.has_value()) {
    Result<net::Address> address = Resolve();
    if (!address.ok()) return address.error();
    address_ = *address;
  }
  request.host = address_->family() == net::Address::Family::kUnix ? "localhost" : control_;
  if (request.host.front() == ':') request.host = "localhost" + request.host;
  if (!token_.empty() && request.method != http::Method::kGet) request.headers.emplace_back("authorization", "Bearer " + token_);
  Result<admin::HttpReply> reply = Error::Make(ErrorCode::kTimeout, "no answer");
  auto exchange = admin::StartHttp(&loop_, *address_, request, kAnswerTime + patience, [&](Result<admin::HttpReply> result) {
    reply = std::move(result);
    loop_.Stop();
  });
  loop_.Run();
  if (!reply.ok()) return reply.error();
  Answer answer;
  answer.status = reply->status;
  if (reply->content_type == "application/json") {
    answer.json = Json::parse(reply->body, nullptr, false);
    if (answer.json.is_discarded()) answer.json = Json();
  }
  answer.text = std::move(reply->body);
  return answer;
}

std::string ControlClient::Answer::error() const {
  if (json.is_object() && json.contains("error") && json["error"].is_string()) return json["error"].get<std::string>();
  std::string line = text.substr(0, text.find('\n'));
  return "the control plane answers " + std::to_string(status) + (line.empty() ? "" : ": " + line);
}

Result<ControlClient::Answer> ControlClient::Get(const std::string& path) {
  return Call({http::Method::kGet, path, "", {}, ""}, {});
}

Result<ControlClient::Answer> ControlClient::Post(const std::string& path, std::string body, const std::string& content_type,
                                                  Duration patience) {
  return Call({http::Method::kPost, path, "", {{"content-type", content_type}}, std::move(body)}, patience);
}

Result<ControlClient::Answer> ControlClient::Delete(const std::string& path, Duration patience) {
  return Call({http::Method::kDelete, path, "", {}, ""}, patience);
}

void ControlClient::Pause(Duration duration) {
  Alarm alarm(&loop_);
  loop_.Arm(&alarm, duration);
  loop_.Run();
}

}  // namespace outrigger::cli
