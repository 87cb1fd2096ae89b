// ArduinoJson 7 as far as the example uses it.
#pragma once

#include <Arduino.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace json {

struct Node;
using Pointer = std::shared_ptr<Node>;

struct Node {
  enum Type { Null, Bool, Integer, Real, Text, Object, Array } type = Null;
  long long integer = 0;
  double real = 0;
  std::string text;
  std::vector<std::pair<std::string, Pointer>> members;  // of an array: without names

  Node *find(const std::string &name) const {
    for (auto &each : members) {
      if (type == Object && each.first == name) return each.second.get();
    }
    return nullptr;
  }
};

inline void print(const Node &node, std::string &out);
inline void quote(const std::string &text, std::string &out) {
  out += '"';
  for (unsigned char c : text) {
    char escaped[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c < 0x20) {
      snprintf(escaped, sizeof escaped, "\\u%04x", c);
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}
inline void print_members(const Node &node, std::string &out) {
  bool object = node.type == Node::Object, first = true;
  out += object ? '{' : '[';
  for (auto &each : node.members) {
    if (!first) out += ',';
    first = false;
    if (object) quote(each.first, out), out += ':';
    print(*each.second, out);
  }
  out += object ? '}' : ']';
}
inline void print(const Node &node, std::string &out) {
  char number[32];
  switch (node.type) {
    case Node::Null: out += "null"; break;
    case Node::Bool: out += node.integer ? "true" : "false"; break;
    case Node::Integer: out += std::to_string(node.integer); break;
    case Node::Real:
      snprintf(number, sizeof number, std::isfinite(node.real) ? "%.7g" : "null", node.real);
      out += number;
      break;
    case Node::Text: quote(node.text, out); break;
    default: print_members(node, out);
  }
}

class Reader {
 public:
  Reader(const char *begin, const char *end) : at_(begin), end_(end) {}
  bool document(Node &node) {
    bool good = value(node, 0);
    space();
    return good && at_ == end_;
  }

 private:
  void space() {
    while (at_ < end_ && strchr(" \t\r\n", *at_)) ++at_;
  }
  bool take(const char *word) {
    size_t length = strlen(word);
    if (static_cast<size_t>(end_ - at_) < length || strncmp(at_, word, length) != 0) return false;
    at_ += length;
    return true;
  }
  bool value(Node &node, int depth) {
    space();
    if (at_ == end_ || depth > 10) return false;  // ArduinoJson's nesting limit
    if (*at_ == '{' || *at_ == '[') return members(node, depth);
    if (*at_ == '"') return node.type = Node::Text, string(node.text);
    if (take("null")) return true;
    if (take("true")) return node.type = Node::Bool, node.integer = 1, true;
    if (take("false")) return node.type = Node::Bool, true;
    std::string digits;
    while (at_ < end_ && strchr("+-.0123456789eE", *at_)) digits += *at_++;
    char *rest = nullptr;
    node.real = strtod(digits.c_str(), &rest);
    node.integer = strtoll(digits.c_str(), nullptr, 10);
    node.type = digits.find_first_of(".eE") == std::string::npos ? Node::Integer : Node::Real;
    return !digits.empty() && *rest == '\0';
  }
  bool members(Node &node, int depth) {
    bool object = *at_ == '{';
    char close = object ? '}' : ']';
    node.type = object ? Node::Object : Node::Array;
    ++at_;
    space();
    if (at_ < end_ && *at_ == close) return ++at_, true;
    for (;;) {
      std::string name;
      space();
      if (object) {
        if (!string(name)) return false;
        space();
        if (!take(":")) return false;
      }
      auto member = std::make_shared<Node>();
      if (!value(*member, depth + 1)) return false;
      node.members.emplace_back(name, member);
      space();
      if (at_ < end_ && *at_ == close) return ++at_, true;
      if (!take(",")) return false;
    }
  }
  bool string(std::string &text) {
    if (!take("\"")) return false;
    for (; at_ < end_; ++at_) {
      if (*at_ == '"') return ++at_, true;
      if (*at_ != '\\') {
        text += *at_;
        continue;
      }
      if (++at_ == end_) return false;
      if (strchr("\"\\/", *at_)) {
        text += *at_;
      } else if (const char *known = strchr(LETTERS, *at_)) {
        text += "\b\f\n\r\t"[known - LETTERS];
      } else {
        return false;
      }
    }
    return false;
  }
  static constexpr char LETTERS[] = "bfnrt";  // \u is not needed here
  const char *at_, *end_;
};

}  // namespace json

// A place in a document: reading one that is not there gives nothing, writing makes it.
class JsonVariant {
 public:
  explicit JsonVariant(json::Pointer root) : root_(std::move(root)) {}
  JsonVariant(const JsonVariant &holder, std::string name)
      : holder_(std::make_shared<JsonVariant>(holder)), name_(std::move(name)) {}
  JsonVariant(const JsonVariant &) = default;

  JsonVariant operator[](const char *name) const { return {*this, name}; }

  template <class T>
  std::enable_if_t<!std::is_base_of_v<JsonVariant, T>, JsonVariant &> operator=(const T &value) {
    set(make(), value);
    return *this;
  }
  template <class T>
  T to() {
    json::Node &node = make();
    node = {};
    node.type = T::type;
    return T(*this);
  }
  template <class T>
  void add(const T &value) {
    auto member = std::make_shared<json::Node>();
    set(*member, value);
    make().members.emplace_back("", member);
  }
  template <class T>
  bool is() const {
    const json::Node *node = find();
    if (node == nullptr) return false;
    if constexpr (std::is_same_v<T, bool>) return node->type == json::Node::Bool;
    else if constexpr (std::is_integral_v<T>) return node->type == json::Node::Integer;
    else if constexpr (std::is_floating_point_v<T>)
      return node->type == json::Node::Integer || node->type == json::Node::Real;
    else return node->type == json::Node::Text;
  }
  template <class T>
  T as() const {
    const json::Node *node = find();
    if (!is<T>()) return T{};
    if constexpr (std::is_floating_point_v<T>) return node->real;
    else if constexpr (std::is_arithmetic_v<T>) return node->integer;
    else return node->text.c_str();
  }
  template <class T>
  T operator|(T fallback) const {
    return is<T>() ? as<T>() : fallback;
  }
  const json::Node *find() const {
    if (root_) return root_.get();
    const json::Node *holder = holder_->find();
    return holder == nullptr ? nullptr : holder->find(name_);
  }

 protected:
  json::Node &make() {
    if (root_) return *root_;
    json::Node &holder = holder_->make();
    if (holder.type == json::Node::Null) holder.type = json::Node::Object;
    if (json::Node *found = holder.find(name_)) return *found;
    holder.members.emplace_back(name_, std::make_shared<json::Node>());
    return *holder.members.back().second;
  }

 private:
  template <class T>
  static void set(json::Node &node, const T &value) {
    node = {};
    if constexpr (std::is_same_v<T, bool>) node.type = json::Node::Bool, node.integer = value;
    else if constexpr (std::is_integral_v<T>) node.type = json::Node::Integer, node.integer = value;
    else if constexpr (std::is_floating_point_v<T>) node.type = json::Node::Real, node.real = value;
    else node.type = json::Node::Text, node.text = value;
  }
  json::Pointer root_;
  std::shared_ptr<JsonVariant> holder_;
  std::string name_;
};

struct JsonObject : JsonVariant {
  static constexpr auto type = json::Node::Object;
  explicit JsonObject(const JsonVariant &place) : JsonVariant(place) {}
};
struct JsonArray : JsonVariant {
  static constexpr auto type = json::Node::Array;
  explicit JsonArray(const JsonVariant &place) : JsonVariant(place) {}
};
struct JsonDocument : JsonVariant {
  JsonDocument() : JsonVariant(std::make_shared<json::Node>()) {}
};

class DeserializationError {
 public:
  explicit DeserializationError(bool bad) : bad_(bad) {}
  explicit operator bool() const { return bad_; }
  const char *c_str() const { return bad_ ? "InvalidInput" : "Ok"; }

 private:
  bool bad_;
};

inline std::string json_text(const JsonDocument &doc) {
  std::string out;
  json::print(*doc.find(), out);
  return out;
}
inline size_t measureJson(const JsonDocument &doc) { return json_text(doc).size(); }
inline size_t serializeJson(const JsonDocument &doc, char *buffer, size_t size) {
  return std::min<size_t>(snprintf(buffer, size, "%s", json_text(doc).c_str()), size - 1);
}
inline DeserializationError deserializeJson(JsonDocument &doc, const uint8_t *data, size_t length) {
  auto *text = reinterpret_cast<const char *>(data);
  json::Node &root = const_cast<json::Node &>(*doc.find());
  root = {};
  return DeserializationError(!json::Reader(text, text + length).document(root));
}
