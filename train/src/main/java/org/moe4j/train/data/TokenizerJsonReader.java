package org.moe4j.train.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads a {@code tokenizer.json} that is byte-level BPE, and nothing else: whatever would make the
 * ids differ from those of the Hugging Face tokenizers library is refused.
 */
final class TokenizerJsonReader {
  private static final long LARGEST = 256L << 20;
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private final Path file;

  TokenizerJsonReader(Path file) {
    this.file = file;
  }

  BpeTokenizer read() {
    JsonNode root = parse();
    JsonNode model = root.path("model");
    require(root, model);
    Map<String, Integer> ids = vocabulary(model.path("vocab"));
    List<AddedToken> added = addedTokens(root.path("added_tokens"));
    @Nullable String[] spelled = new String[size(ids, added)];
    ids.forEach((token, id) -> claim(spelled, id, token));
    added.forEach(token -> claim(spelled, token.id(), token.content()));
    List<byte[]> tokens = bytes(spelled, added);
    for (int rank = 0; rank < 256; rank++) {
      String spelling = ByteAlphabet.spell(new byte[] {ByteAlphabet.byteOfRank(rank)});
      if (!ids.containsKey(spelling)) {
        throw wrong(
            "model.vocab lacks the byte 0x%02x (\"%s\"); not every text could be encoded"
                .formatted(ByteAlphabet.byteOfRank(rank) & 0xFF, spelling));
      }
    }
    return new BpeTokenizer(tokens, merges(model.path("merges"), ids), added);
  }

  private JsonNode parse() {
    try {
      if (Files.size(file) > LARGEST) {
        throw wrong("larger than 256 MB; this is no tokenizer.json");
      }
      JsonNode root = JSON.readTree(Files.readAllBytes(file));
      if (!root.isObject()) {
        throw wrong("not a JSON object; this is no tokenizer.json");
      }
      return root;
    } catch (IOException e) {
      throw new MoeException(file + ": the tokenizer cannot be read: " + e, e);
    } catch (JacksonException e) {
      String fault = e.getOriginalMessage().lines().findFirst().orElse("syntax error");
      TokenStreamLocation place = e.getLocation();
      String where =
          place == null ? "" : " at line " + place.getLineNr() + ", column " + place.getColumnNr();
      throw new MoeException(
          file + ": malformed JSON" + where + ": " + fault + "; fetch the file again", e);
    }
  }

  private void require(JsonNode root, JsonNode model) {
    requireValue("model.type", model.path("type"), "BPE");
    requireValue("pre_tokenizer.type", root.path("pre_tokenizer").path("type"), "ByteLevel");
    requireOff("pre_tokenizer.add_prefix_space", root.path("pre_tokenizer"), "add_prefix_space");
    if (!root.path("pre_tokenizer").path("use_regex").asBoolean(true)) {
      throw unsupported("pre_tokenizer.use_regex", "false");
    }
    requireValue("decoder.type", root.path("decoder").path("type"), "ByteLevel");
    requireOff("normalizer", root, "normalizer");
    requireOff("truncation", root, "truncation");
    requireOff("padding", root, "padding");
    JsonNode post = root.path("post_processor");
    // ByteLevel there moves offsets only.
    if (!isOff(post) && !post.path("type").asString("").equals("ByteLevel")) {
      throw unsupported("post_processor", shown(post));
    }
    for (String key :
        List.of(
            "dropout",
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "byte_fallback",
            "ignore_merges")) {
      requireOff("model." + key, model, key);
    }
  }

  private void requireValue(String name, JsonNode node, String expected) {
    if (!node.asString("").equals(expected)) {
      throw unsupported(name, node.isMissingNode() ? "missing" : shown(node));
    }
  }

  private void requireOff(String name, JsonNode parent, String key) {
    if (!isOff(parent.path(key))) {
      throw unsupported(name, shown(parent.path(key)));
    }
  }

  private static boolean isOff(JsonNode node) {
    return node.isMissingNode()
        || node.isNull()
        || (node.isBoolean() && !node.asBoolean())
        || (node.isString() && node.asString().isEmpty());
  }

  private Map<String, Integer> vocabulary(JsonNode vocab) {
    if (!vocab.isObject() || vocab.isEmpty()) {
      throw wrong("model.vocab is missing or empty");
    }
    Map<String, Integer> ids = new HashMap<>();
    for (Map.Entry<String, JsonNode> entry : vocab.properties()) {
      ids.put(entry.getKey(), id("model.vocab \"" + entry.getKey() + "\"", entry.getValue()));
    }
    return ids;
  }

  private List<AddedToken> addedTokens(JsonNode nodes) {
    List<AddedToken> added = new ArrayList<>();
    for (JsonNode node : nodes) {
      String content = node.path("content").asString("");
      String name = "added_tokens \"" + content + "\"";
      if (content.isEmpty()) {
        throw wrong("added_tokens holds a token without content: " + shown(node));
      }
      for (String flag : List.of("single_word", "lstrip", "rstrip")) {
        requireOff(name + " " + flag, node, flag);
      }
      int id = id(name, node.path("id"));
      added.add(new AddedToken(id, content, node.path("special").asBoolean(false)));
    }
    return added;
  }

  private int id(String name, JsonNode node) {
    if (!node.isInt() || node.asInt() < 0) {
      throw wrong(name + " has the id " + shown(node) + "; ids are whole numbers from 0");
    }
    return node.asInt();
  }

  /** The number of tokens; every id must be below it, so that all arrays fit what is there. */
  private int size(Map<String, Integer> ids, List<AddedToken> added) {
    Set<String> names = new HashSet<>(ids.keySet());
    added.forEach(token -> names.add(token.content()));
    ids.forEach((token, id) -> requireBelow(token, id, names.size()));
    added.forEach(token -> requireBelow(token.content(), token.id(), names.size()));
    return names.size();
  }

  private void requireBelow(String token, int id, int size) {
    if (id >= size) {
      throw wrong(
          "token \"%s\" has the id %d, but there are only %d tokens; ids must not have gaps"
              .formatted(token, id, size));
    }
  }

  private void claim(@Nullable String[] spelled, int id, String token) {
    String other = spelled[id];
    if (other != null && !other.equals(token)) {
      throw wrong("tokens \"%s\" and \"%s\" have the same id %d".formatted(other, token, id));
    }
    spelled[id] = token;
  }

  private List<byte[]> bytes(@Nullable String[] spelled, List<AddedToken> added) {
    byte[][] tokens = new byte[spelled.length][];
    added.forEach(token -> tokens[token.id()] = token.utf8());
    for (int id = 0; id < tokens.length; id++) {
      String spelling = spelled[id];
      if (spelling == null) {
        throw wrong("no token has the id " + id + "; ids must not have gaps");
      }
      if (tokens[id] == null) {
        if (spelling.isEmpty() || !ByteAlphabet.isSpelling(spelling)) {
          throw wrong("token %d \"%s\" is not spelled in bytes".formatted(id, spelling));
        }
        tokens[id] = ByteAlphabet.bytes(spelling);
      }
    }
    return Arrays.asList(tokens);
  }

  private List<Merge> merges(JsonNode nodes, Map<String, Integer> ids) {
    if (!nodes.isArray()) {
      throw wrong("model.merges is missing");
    }
    List<Merge> merges = new ArrayList<>();
    Set<Long> seen = new HashSet<>();
    for (JsonNode node : nodes) {
      String[] sides = sides(node);
      String place = "model.merges[" + merges.size() + "] " + shown(node);
      if (sides.length != 2) {
        throw wrong(place + " is not a pair of tokens");
      }
      Integer left = ids.get(sides[0]);
      Integer right = ids.get(sides[1]);
      Integer merged = ids.get(sides[0] + sides[1]);
      if (left == null || right == null || merged == null) {
        String unknown = left == null ? sides[0] : right == null ? sides[1] : sides[0] + sides[1];
        throw wrong("%s names \"%s\", which is not in model.vocab".formatted(place, unknown));
      }
      if (!seen.add(PairTable.pair(left, right))) {
        throw wrong(place + " is there twice");
      }
      merges.add(new Merge(left, right, merged));
    }
    return merges;
  }

  private static String[] sides(JsonNode node) {
    return node.isArray()
        ? node.valueStream().map(side -> side.asString("")).toArray(String[]::new)
        : node.asString("").split(" ", -1);
  }

  private static String shown(JsonNode node) {
    String json = node.toString();
    return json.length() <= 60 ? json : json.substring(0, 60) + "...";
  }

  private MoeException unsupported(String name, String value) {
    return wrong(
        "%s is %s; only byte-level BPE with GPT-2's pre-tokenizer can be read here"
            .formatted(name, value));
  }

  private MoeException wrong(String fault) {
    return new MoeException(file + ": " + fault.replaceAll("\\R", " "));
  }
}
