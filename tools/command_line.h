// The command line of `skein`: global flags, one subcommand each, and help in one form: usage, what
// it does, options with their defaults, example, exit status. CLI11 does the parsing.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>
#include <vector>

#include "tools/command.h"

namespace skein {

struct CommandText {
  std::string name;
  std::string usage;        // after "usage: skein NAME"
  std::string summary;      // one line, for the list of commands
  std::string description;  // for the command's own help
  std::string example;
  // "" = the usual four
  std::string exit_status = "";
};

// A subcommand with --help and that text.
CLI::App* add_command(CLI::App& parent, const CommandText& text);

// A positional that takes one or more words exactly as they are.
CLI::Option* add_words(CLI::App& app, const std::string& name, std::vector<std::string>& words);
// A flag --json; `what` says what the objects are.
void add_json_flag(CLI::App& app, bool& json, const std::string& what);

// The program without its commands. `config` gives the defaults that help shows.
void set_up_program(CLI::App& app, GlobalFlags& flags, const Config& config);

// find(1)'s spelling made ours: after the word "find", -name is --name, and so on. In place.
void accept_find_spelling(std::vector<std::string>& arguments);

}  // namespace skein
