// The compiled part of spdlog, which Debian has as a shared library only: without it every file that logs would
// compile all of it again.
#include <mutex>

#include <spdlog/common-inl.h>
#include <spdlog/spdlog-inl.h>

#include <spdlog/async.h>
#include <spdlog/async_logger-inl.h>
#include <spdlog/details/backtracer-inl.h>
#include <spdlog/details/file_helper-inl.h>
#include <spdlog/details/log_msg-inl.h>
#include <spdlog/details/log_msg_buffer-inl.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/details/os-inl.h>
#include <spdlog/details/periodic_worker-inl.h>
#include <spdlog/details/registry-inl.h>
#include <spdlog/details/thread_pool-inl.h>
#include <spdlog/logger-inl.h>
#include <spdlog/pattern_formatter-inl.h>
#include <spdlog/sinks/ansicolor_sink-inl.h>
#include <spdlog/sinks/base_sink-inl.h>
#include <spdlog/sinks/basic_file_sink-inl.h>
#include <spdlog/sinks/rotating_file_sink-inl.h>
#include <spdlog/sinks/sink-inl.h>
#include <spdlog/sinks/stdout_color_sinks-inl.h>
#include <spdlog/sinks/stdout_sinks-inl.h>

using spdlog::synchronous_factory;
using spdlog::details::console_mutex;
using spdlog::details::console_nullmutex;
using spdlog::details::null_mutex;

namespace spdlog::sinks {

template class base_sink<std::mutex>;
template class base_sink<null_mutex>;
template class basic_file_sink<std::mutex>;
template class basic_file_sink<null_mutex>;
template class rotating_file_sink<std::mutex>;
template class rotating_file_sink<null_mutex>;
template class stdout_sink_base<console_mutex>;
template class stdout_sink_base<console_nullmutex>;
template class stdout_sink<console_mutex>;
template class stdout_sink<console_nullmutex>;
template class stderr_sink<console_mutex>;
template class stderr_sink<console_nullmutex>;
template class ansicolor_sink<console_mutex>;
template class ansicolor_sink<console_nullmutex>;
template class ansicolor_stdout_sink<console_mutex>;
template class ansicolor_stdout_sink<console_nullmutex>;
template class ansicolor_stderr_sink<console_mutex>;
template class ansicolor_stderr_sink<console_nullmutex>;

}  // namespace spdlog::sinks

template std::shared_ptr<spdlog::logger> spdlog::stdout_logger_mt<synchronous_factory>(const std::string&);
template std::shared_ptr<spdlog::logger> spdlog::stderr_logger_mt<synchronous_factory>(const std::string&);
template std::shared_ptr<spdlog::logger> spdlog::stdout_color_mt<synchronous_factory>(const std::string&, color_mode);
template std::shared_ptr<spdlog::logger> spdlog::stderr_color_mt<synchronous_factory>(const std::string&, color_mode);
