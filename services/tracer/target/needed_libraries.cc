#include "services/tracer/target/needed_libraries.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "services/tracer/symbols/loader_info.h"
#include "services/tracer/target/loader_cache.h"

namespace flightrec::target {
namespace {

constexpr size_t kMaxLibraries = 4096;
constexpr absl::string_view kSystemFolders[] = {"/lib/x86_64-linux-gnu",
                                                "/usr/lib/x86_64-linux-gnu",
                                                "/lib64",
                                                "/usr/lib64",
                                                "/lib",
                                                "/usr/lib"};

// musl's loader has these in itself, whatever comes behind the dot.
constexpr absl::string_view kPartsOfMusl[] = {"libc",  "libpthread", "librt",  "libm",
                                              "libdl", "libutil",    "libxnet"};
constexpr absl::string_view kMuslLoader = "ld-musl-";
constexpr char kMuslFolders[] = "/lib:/usr/local/lib:/usr/lib";

bool IsPartOfMusl(absl::string_view name) {
  const absl::string_view stem = name.substr(0, name.find('.'));
  return stem != name && std::find(std::begin(kPartsOfMusl), std::end(kPartsOfMusl), stem) !=
                             std::end(kPartsOfMusl);
}

// Where musl's loader of this name looks last; empty: it is another loader.
std::string MuslFolders(absl::string_view interpreter) {
  absl::string_view name = interpreter.substr(interpreter.rfind('/') + 1);
  if (!absl::StartsWith(name, kMuslLoader)) return "";
  std::ifstream file(absl::StrCat("/etc/", name.substr(0, name.find('.')), ".path"));
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return kMuslFolders;
  return absl::StrJoin(absl::StrSplit(text.str(), absl::ByAnyChar(":\n"), absl::SkipEmpty()), ":");
}

absl::string_view Variable(const std::vector<std::string>& env, absl::string_view name) {
  for (absl::string_view variable : env) {
    if (absl::ConsumePrefix(&variable, name) && absl::ConsumePrefix(&variable, "=")) {
      return variable;
    }
  }
  return "";
}

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string Expanded(absl::string_view folder, const std::string& origin) {
  return absl::StrReplaceAll(folder, {{"$ORIGIN", origin},
                                      {"${ORIGIN}", origin},
                                      {"$LIB", "lib/x86_64-linux-gnu"},
                                      {"${LIB}", "lib/x86_64-linux-gnu"},
                                      {"$PLATFORM", "x86_64"},
                                      {"${PLATFORM}", "x86_64"}});
}

struct Loaded {
  std::string path;
  symbols::LoaderInfo info;
  std::string rpaths;  // its own and those of what needs it, expanded
};

class Search {
 public:
  Search(const std::vector<std::string>& env, const std::string& cache_path)
      : library_path_(Variable(env, "LD_LIBRARY_PATH")), cache_(LoaderCache::ReadFile(cache_path)) {
    preload_ =
        absl::StrSplit(Variable(env, "LD_PRELOAD"), absl::ByAnyChar(": "), absl::SkipEmpty());
  }

  absl::StatusOr<NeededLibraries> Run(const std::string& program);

 private:
  // Maps what `user` needs under this name, if it is not mapped yet.
  void Need(const Loaded& user, const std::string& name);
  // "" when there is none.
  std::string Find(const Loaded& user, const std::string& name) const;
  std::string FindIn(absl::string_view folders, const std::string& origin,
                     const std::string& name) const;
  static bool IsLibrary(const std::string& path) { return symbols::ReadLoaderInfo(path).ok(); }

  const std::string library_path_;
  const LoaderCache cache_;
  std::string musl_folders_;
  std::vector<std::string> preload_;
  std::deque<Loaded> queue_;  // breadth first, as the loader goes
  std::set<std::string> names_;
  std::set<std::string> paths_;
  NeededLibraries result_;
};

std::string Search::FindIn(absl::string_view folders, const std::string& origin,
                           const std::string& name) const {
  if (folders.empty()) return "";
  for (absl::string_view folder : absl::StrSplit(folders, absl::ByAnyChar(":;"))) {
    // Empty means the working directory.
    const std::string path =
        absl::StrCat(folder.empty() ? "." : Expanded(folder, origin), "/", name);
    if (IsLibrary(path)) return path;
  }
  return "";
}

std::string Search::Find(const Loaded& user, const std::string& name) const {
  const std::string origin = FolderOf(user.path);
  if (absl::StrContains(name, "/")) {
    const std::string path = Expanded(name, origin);
    return IsLibrary(path) ? path : "";
  }
  std::string found;
  if (user.info.runpath.empty()) found = FindIn(user.rpaths, origin, name);
  if (found.empty()) found = FindIn(library_path_, origin, name);
  if (found.empty()) found = FindIn(user.info.runpath, origin, name);
  if (!found.empty()) return found;
  if (!musl_folders_.empty()) return FindIn(musl_folders_, origin, name);
  found = cache_.Find(name);
  if (!found.empty()) return found;
  for (const absl::string_view folder : kSystemFolders) {
    found = FindIn(folder, origin, name);
    if (!found.empty()) return found;
  }
  return "";
}

void Search::Need(const Loaded& user, const std::string& name) {
  if (!names_.insert(name).second || paths_.size() >= kMaxLibraries) return;
  if (!musl_folders_.empty() && IsPartOfMusl(name)) return;
  const std::string found = Find(user, name);
  std::error_code error;
  const std::string path = found.empty() ? "" : std::filesystem::canonical(found, error).string();
  auto info = symbols::ReadLoaderInfo(path);
  if (!info.ok()) {
    result_.missing.push_back(absl::StrCat(name, ", needed by ", user.path));
    return;
  }
  if (!paths_.insert(path).second) return;
  names_.insert(info->soname);
  result_.paths.push_back(path);
  Loaded loaded{path, *std::move(info), user.rpaths};
  if (!loaded.info.rpath.empty()) {
    loaded.rpaths = absl::StrCat(Expanded(loaded.info.rpath, FolderOf(path)), ":", loaded.rpaths);
  }
  queue_.push_back(std::move(loaded));
}

absl::StatusOr<NeededLibraries> Search::Run(const std::string& program) {
  std::error_code error;
  std::string path = std::filesystem::canonical(program, error).string();
  if (error) path = program;
  auto info = symbols::ReadLoaderInfo(path);
  if (!info.ok()) return info.status();
  if (info->interpreter.empty()) return std::move(result_);
  musl_folders_ = MuslFolders(info->interpreter);
  const std::string loader = std::filesystem::canonical(info->interpreter, error).string();
  if (error) {
    result_.missing.push_back(absl::StrCat(info->interpreter, ", needed by ", path));
    return std::move(result_);
  }
  if (auto loader_info = symbols::ReadLoaderInfo(loader); loader_info.ok()) {
    names_.insert(loader_info->soname);
  }
  paths_.insert(loader);
  Loaded main{path, *std::move(info), ""};
  main.rpaths = Expanded(main.info.rpath, FolderOf(path));
  for (const std::string& name : preload_) Need(main, name);
  for (const std::string& name : main.info.needed) Need(main, name);
  while (!queue_.empty()) {
    const Loaded user = std::move(queue_.front());
    queue_.pop_front();
    for (const std::string& name : user.info.needed) Need(user, name);
  }
  result_.paths.push_back(loader);
  return std::move(result_);
}

}  // namespace

absl::StatusOr<NeededLibraries> FindNeededLibraries(const std::string& program,
                                                    const std::vector<std::string>& env,
                                                    const std::string& cache_path) {
  return Search(env, cache_path).Run(program);
}

}  // namespace flightrec::target
