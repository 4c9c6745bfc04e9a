// The control plane's admin API as blocking calls, for one command.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/admin/http_client.h"
#include "proxy/base/error.h"
#include "proxy/io/uv_loop.h"
#include "tools/cli/views.h"

namespace outrigger::cli {

class ControlClient {
 public:
  // `control`: HOST:PORT or unix:/path. `data_dir`: the control plane's, whose admin.token serves when OUTRIGGER_TOKEN is not set.
  ControlClient(std::string control, std::string data_dir);
  ~ControlClient();

  struct Answer {
    int status = 0;
    std::string text;
    Json json;  // null when the body is not JSON
    bool ok() const { return status >= 200 && status < 300; }
    // What to tell the user when it is not.
    std::string error() const;
  };
  // An error when the control plane cannot be reached or does not answer within 10 s and `patience`.
  Result<Answer> Get(const std::string& path);
  Result<Answer> Post(const std::string& path, std::string body, const std::string& content_type, Duration patience = {});
  Result<Answer> Delete(const std::string& path, Duration patience = {});

  void Pause(Duration duration);
  const std::string& control() const { return control_; }
  // Why a write will be refused; empty when there is a token.
  const std::string& token_problem() const { return token_problem_; }

 private:
  Result<net::Address> Resolve();
  void ReadToken(const std::string& data_dir);
  Result<Answer> Call(admin::HttpRequest request, Duration patience);

  const std::string control_;
  std::string token_;
  std::string token_problem_;
  io::UvLoop loop_;
  std::optional<net::Address> address_;
};

// A path segment or query value with everything but letters, digits, '-', '.', '_' percent-encoded.
std::string Escape(std::string_view text);

}  // namespace outrigger::cli
