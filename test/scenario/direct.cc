#include "test/scenario/direct.h"

#include "test/scenario/http_app.h"
#include "test/scenario/http_client.h"

namespace outrigger::scenario {
namespace {

constexpr uint16_t kPort = 8080;

struct Direct {
  Direct(Environment& environment, HttpAppOptions app_options, HttpClientOptions client_options) : env(environment) {
    app_machine = env.AddMachine("app");
    client_machine = env.AddMachine("client");
    app_options.address = env.AddressOf(app_machine, kPort);
    app_options.ledger = &ledger;
    client_options.target = app_options.address;
    client_options.ledger = &ledger;
    app = env.AddActor(app_machine, "app", [app_options](Actor& actor) { return std::make_shared<HttpApp>(&actor.loop(), app_options); });
    client = env.AddActor(client_machine, "client",
                          [client_options](Actor& actor) { return std::make_shared<HttpClient>(&actor.loop(), client_options); });
    env.Start(app);
    env.Start(client);
  }
  bool Finish(Duration within) {
    const bool done = env.RunUntil([this] { return env.Get<HttpClient>(client)->done(); }, within);
    env.RunUntil([this] { return env.Get<HttpApp>(app)->connections() == 0; }, 5s);  // what is being closed politely
    env.Stop(client);
    env.Stop(app);
    return done;
  }

  Environment& env;
  check::Ledger ledger;
  MachineId app_machine, client_machine;
  ActorId app, client;
};

HttpAppOptions VariedApp(Random& random) {
  HttpAppOptions options;
  options.body_max = random.Chance(0.5) ? 200 : 100'000;
  options.delay_max = random.Chance(0.5) ? 0ms : 20ms;
  options.chunked = random.Uniform();
  options.early = random.Chance(0.5) ? 0.2 : 0.0;
  return options;
}

HttpClientOptions VariedClient(Random& random) {
  HttpClientOptions options;
  options.requests = 100;
  options.connections = 1 + static_cast<int>(random.Below(6));
  options.body_max = random.Chance(0.5) ? 200 : 100'000;
  options.chunked = random.Uniform();
  options.think_max = random.Chance(0.5) ? 0ms : 10ms;
  options.fresh = random.Chance(0.5) ? 0.0 : 0.2;
  options.timeout = 600s;  // small buffers and slow links take their time; in virtual time
  return options;
}

}  // namespace

void PlayDirect(Environment& environment, Report* report) {
  Direct direct(environment, VariedApp(environment.random()), VariedClient(environment.random()));
  if (!direct.Finish(3600s)) report->Fail("the client did not finish");
  report->Take(direct.ledger, {});
}

// The application closes connections after some answers, with and without a word; only those without may break a plain POST.
void PlayDirectClosing(Environment& environment, Report* report) {
  HttpAppOptions app = VariedApp(environment.random());
  app.early = 0;
  app.close_after = 1 + static_cast<int>(environment.random().Below(10));
  Direct direct(environment, app, VariedClient(environment.random()));
  if (!direct.Finish(3600s)) report->Fail("the client did not finish");
  report->Take(direct.ledger, {});
}

// The application is killed and restarted under load, in any weather: a client without a mesh cannot know what became of what was under
// way, but nothing is lost without a word, and nothing that may run once runs twice.
void PlayDirectKilled(Environment& environment, Report* report) {
  HttpAppOptions app = VariedApp(environment.random());
  app.reset = environment.random().Chance(0.5) ? 0.05 : 0.0;
  app.silent_close = environment.random().Chance(0.5) ? 0.1 : 0.0;
  Direct direct(environment, app, VariedClient(environment.random()));
  for (int i = 0; i < 5; ++i) {
    environment.RunFor(Duration(static_cast<int64_t>(environment.random().Below(100'000'000))));
    environment.Kill(direct.app);
    environment.RunFor(Duration(static_cast<int64_t>(environment.random().Below(500'000'000))));
    environment.Start(direct.app);
  }
  environment.CalmNetwork();
  environment.Heal();
  if (!direct.Finish(3600s)) report->Fail("the client did not finish");
  report->Take(direct.ledger, {.cut = check::Ledger::kAny, .broken = check::Ledger::kAny});
}

}  // namespace outrigger::scenario
