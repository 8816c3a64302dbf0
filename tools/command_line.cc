#include "tools/command_line.h"

#include <algorithm>
#include <array>
#include <memory>
#include <sstream>
#include <utility>

namespace skein {
namespace {

constexpr std::string_view kUsualExitStatus =
    "0 all done; 1 some failed; 2 wrong usage; 3 no node found";

std::string names_of(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : option.get_snames()) names += "-" + name + ", ";
  if (names.empty()) names = "    ";
  for (const std::string& name : option.get_lnames()) names += "--" + name + ", ";
  names.resize(names.size() - 2);
  return option.get_type_name().empty() ? names : names + " " + option.get_type_name();
}

void print_options(std::ostream& out, const std::string& heading, const CLI::App& app) {
  const auto options = app.get_options([](const CLI::Option* option) {
    return option->nonpositional() && !option->get_group().empty();
  });
  if (options.empty()) return;
  std::size_t width = 0;
  for (const CLI::Option* option : options) width = std::max(width, names_of(*option).size());
  out << "\n" << heading << ":\n";
  for (const CLI::Option* option : options) {
    const std::string names = names_of(*option);
    out << "  " << names << std::string(width - names.size() + 2, ' ')
        << option->get_description() << "\n";
  }
}

class HelpText : public CLI::Formatter {
 public:
  explicit HelpText(CommandText text) : text_(std::move(text)) {}

  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    std::ostringstream out;
    out << "usage: skein " << text_.name << (text_.name.empty() ? "" : " ") << text_.usage
        << "\n\n" << text_.description << "\n";
    const auto commands = app->get_subcommands([](const CLI::App*) { return true; });
    if (!commands.empty()) {
      out << "\ncommands:\n";
      for (const CLI::App* command : commands) {
        const std::string name = command->get_name();
        out << "  " << name << std::string(10 - std::min<std::size_t>(name.size(), 9), ' ')
            << command->get_description() << "\n";
      }
    }
    const bool is_program = app->get_parent() == nullptr;
    print_options(out, "options", *app);
    if (!is_program) print_options(out, "options of every command", *app->get_parent());
    out << "\nexample: " << text_.example << "\nexit status: "
        << (text_.exit_status.empty() ? kUsualExitStatus : text_.exit_status) << "\n";
    return out.str();
  }

 private:
  const CommandText text_;
};

}  // namespace

CLI::App* add_command(CLI::App& parent, const CommandText& text) {
  CLI::App* app = parent.add_subcommand(text.name, text.summary);
  // -h is "human-readable" in some commands, so it is help in none.
  app->set_help_flag("--help", "this text");
  app->formatter(std::make_shared<HelpText>(text));
  app->fallthrough();
  return app;
}

CLI::Option* add_words(CLI::App& app, const std::string& name, std::vector<std::string>& words) {
  // Without extra arguments "[a,b]" is one word, and not CLI11's notation for a list.
  return app.add_option(name, words)->allow_extra_args(false);
}

void add_json_flag(CLI::App& app, bool& json, const std::string& what) {
  app.add_flag("--json", json, "one JSON object per " + what + " and line, on standard output");
}

void set_up_program(CLI::App& app, GlobalFlags& flags, const Config& config) {
  const auto now = [&](std::string_view key) {
    const Setting& setting = config.get(key);
    return " [default: " + (setting.value.empty() ? "none" : setting.value) + "]";
  };
  app.set_help_flag("--help", "this text; `skein COMMAND --help` for one command");
  app.set_version_flag("--version", std::string("skein ") + SKEIN_VERSION);
  app.formatter(std::make_shared<HelpText>(CommandText{
      .name = "",
      .usage = "[options] COMMAND ...",
      .summary = "",
      .description =
          "Works with a Skein cluster: the union of the folders of its nodes. Paths are cluster\n"
          "paths, / is the root. Wherever one is taken, skein://CLUSTER/PATH and\n"
          "PYME-CLUSTER://CLUSTER/PATH are too; the triple slash means every visible node.",
      .example = "skein --node http://10.0.0.2:15348 ls -l /"}));
  app.add_option("--cluster", flags.cluster,
                 "the nodes whose name holds NAME; '' = all" + now("cluster"))
      ->type_name("NAME");
  app.add_option("--node", flags.nodes,
                 "this node, repeatable; then no others are looked for" + now("nodes"))
      ->type_name("URL")
      ->allow_extra_args(false);
  app.add_option("--timeout-ms", flags.timeout_ms,
                 "longest wait for a node that moves no byte" + now("deadline_ms"))
      ->type_name("N")
      ->check(CLI::Range(1, 86'400'000));
  app.add_flag("-q,--quiet", flags.quiet, "no progress bar");
  app.require_subcommand(1);
}

void accept_find_spelling(std::vector<std::string>& arguments) {
  constexpr std::array<std::string_view, 6> kFindWords{"-name",     "-iname", "-type", "-size",
                                                       "-maxdepth", "-print0"};
  auto word = std::find(arguments.begin(), arguments.end(), "find");
  for (; word != arguments.end() && *word != "--"; ++word) {
    if (std::find(kFindWords.begin(), kFindWords.end(), *word) != kFindWords.end()) {
      word->insert(word->begin(), '-');
    }
  }
}

}  // namespace skein
