// The effective settings of a program and where each came from. Later wins: default, system file
// (/etc/skein/skein.toml), user file (~/.config/skein/skein.toml), environment, flag.
// $SKEIN_CONFIG names one file to read in place of both.
//
// Keys are dotted, "mount.cache_bytes" being key cache_bytes in table [mount]; its environment
// variable is SKEIN_MOUNT_CACHE_BYTES. All keys are known beforehand (`known_settings`), so a
// misspelt one is an error that names the file and line.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace skein {

struct KnownSetting {
  enum class Kind { kText, kList, kInteger, kBool };
  std::string_view key;
  Kind kind;
  std::string_view default_value;  // as text; lists are comma-separated
  std::string_view help;
};

std::span<const KnownSetting> known_settings();

struct Setting {
  std::string value;   // as text; lists are comma-separated
  std::string origin;  // "default", a file's path, "environment SKEIN_...", "flag --..."
};

class Config {
 public:
  // Reads files and environment. A missing file is no error. Errors: invalid_argument (unknown key,
  // wrong type, not TOML; `what` says file and line), permission_denied.
  static Result<Config> load();

  // From a flag. Errors: invalid_argument (wrong type). Precondition of this and all below: the key
  // is known, and its kind is the one asked for.
  Result<void> set(std::string_view key, const std::string& value, const std::string& origin);

  const Setting& get(std::string_view key) const;
  const std::string& text(std::string_view key) const { return get(key).value; }
  std::vector<std::string> list(std::string_view key) const;
  std::int64_t integer(std::string_view key) const;
  bool flag(std::string_view key) const { return get(key).value == "true"; }
  std::chrono::milliseconds milliseconds(std::string_view key) const {
    return std::chrono::milliseconds(integer(key));
  }

  const std::map<std::string, Setting, std::less<>>& all() const { return settings_; }

 private:
  Config();
  Result<void> load_file(const std::string& path);

  std::map<std::string, Setting, std::less<>> settings_;
};

}  // namespace skein
