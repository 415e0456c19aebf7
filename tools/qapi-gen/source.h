// Where a piece of a schema stands, and what is said about it when it is wrong.
#pragma once

#include <expected>
#include <memory>
#include <string>

namespace pagurus::qapi_gen {

// One file of a schema and, through `includer`, the chain of includes that led to it.
struct SourceFile {
  std::string path;  // as messages show it: relative to the working directory if it was given so
  std::string text;  // UTF-8; lines end with '\n', the last one, too
  std::shared_ptr<const SourceFile> includer;  // null for the root
  int include_line = 0;                        // of the include directive in `includer`
  // Itself, so that what is said about a file can outlive the schema (see PinnedPosition).
  std::weak_ptr<const SourceFile> self;

  static std::shared_ptr<SourceFile> create(std::string path, std::string text);
};

// column 0: the whole line.  The schema owns its files and outlives their positions.
struct Position {
  const SourceFile* file = nullptr;
  int line = 0;    // from 1
  int column = 0;  // from 1, in characters
};

// A position that keeps its file alive, because a schema that is refused goes away.
struct PinnedPosition : Position {
  PinnedPosition() = default;
  PinnedPosition(const Position& position)  // NOLINT: a position is as good
      : Position(position), pin(file != nullptr ? file->self.lock() : nullptr) {}

  std::shared_ptr<const SourceFile> pin;  // null if SourceFile::create() did not make it
};

// The first thing that is wrong with a schema.
struct Diagnostic {
  PinnedPosition at;
  std::string context;  // the definition it is about, as in "struct 'Foo'"; may be empty
  std::string message;  // may have several lines
  std::string rule;     // the strict rule's name, for a finding of a strict check

  // "In file included from a.json:3:\nb.json:7: In struct 'Foo':\nb.json:7: message"
  std::string text() const;
};

template <class T = void>
using Checked = std::expected<T, Diagnostic>;

}  // namespace pagurus::qapi_gen
