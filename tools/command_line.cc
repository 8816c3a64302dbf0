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

// No argument of ours begins with it.
constexpr char kBracketMark = '\x01';

constexpr int kMostTimeoutMs = 86'400'000;  // a day

std::string names_of(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : option.get_snames()) names += "-" + name + ", ";
  if (names.empty()) names = "    ";
  for (const std::string& name : option.get_lnames()) names += "--" + name + ", ";
  names.resize(names.size() - 2);
  return option.get_type_name().empty() ? names : names + " " + option.get_type_name();
}

enum class Which { kAll, kWithoutHelp };

void print_options(std::ostream& out, const std::string& heading, const CLI::App& app,
                   Which which) {
  const auto options = app.get_options([&](const CLI::Option* option) {
    const bool is_help = option->check_lname("help") || option->check_lname("version");
    return option->nonpositional() && !(is_help && which == Which::kWithoutHelp);
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
    print_options(out, "options", *app, Which::kAll);
    if (const CLI::App* program = app->get_parent()) {
      print_options(out, "options of every command", *program, Which::kWithoutHelp);
    }
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

void add_json_flag(CLI::App& app, bool& json, const std::string& what) {
  app.add_flag("--json", json, "one JSON object a line, for each " + what);
}

void set_up_program(CLI::App& app, GlobalFlags& flags, const Config& config) {
  const auto now = [&](std::string_view key) {
    const Setting& setting = config.get(key);
    return " [default: " + (setting.value.empty() ? "none" : setting.value) + "]";
  };
  app.set_help_flag("--help", "this text; `skein COMMAND --help` for one command");
  app.set_version_flag("--version", std::string("skein ") + SKEIN_VERSION,
                       "print the version");
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
      ->check(CLI::Range(1, kMostTimeoutMs).description(""));
  app.add_flag("-q,--quiet", flags.quiet, "no progress bar");
  app.require_subcommand(1);
}

void keep_brackets(std::vector<std::string>& arguments) {
  for (std::string& word : arguments) {
    if (word.starts_with('[') && word.ends_with(']')) word.insert(word.begin(), kBracketMark);
  }
}

std::string without_mark(std::string_view word) {
  return std::string(word.substr(word.starts_with(kBracketMark) ? 1 : 0));
}

void remove_marks(CLI::App& app) {
  const CLI::Validator remove(
      [](std::string& word) {
        if (word.starts_with(kBracketMark)) word.erase(0, 1);
        return std::string();  // no error
      },
      "");
  for (CLI::Option* option : app.get_options()) {
    if (option->get_items_expected_max() > 0) option->transform(remove);
  }
  for (CLI::App* command : app.get_subcommands({})) remove_marks(*command);
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
