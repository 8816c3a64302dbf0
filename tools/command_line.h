// The command line of `skein`: global flags, one subcommand each, and help in one form: usage, what
// it does, options with their defaults, example, exit status. CLI11 does the parsing.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>
#include <string_view>
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

// A flag --json; `what` says what the objects are.
void add_json_flag(CLI::App& app, bool& json, const std::string& what);

// The program without its commands. `config` gives the defaults that help shows.
void set_up_program(CLI::App& app, GlobalFlags& flags, const Config& config);

// A file may be named "[a,b]", which CLI11 takes for a list of two where it expects several words.
// keep_brackets() marks such arguments before they are parsed; remove_marks() has the options of a
// program and its commands take the mark away again, once all options are there. What a command
// takes by itself goes through without_mark().
void keep_brackets(std::vector<std::string>& arguments);
void remove_marks(CLI::App& program);
std::string without_mark(std::string_view word);

// find(1)'s spelling made ours: after the word "find", -name is --name, and so on. In place.
void accept_find_spelling(std::vector<std::string>& arguments);

}  // namespace skein
