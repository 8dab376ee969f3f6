package org.moe4j.models.gguf;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.moe4j.tensor.MoeException;
import tools.jackson.databind.JsonNode;

/** The tokens of a {@code tokenizer.json} as metadata, padded to the model's vocabulary. */
final class Vocabulary {
  private static final long NORMAL = 1;
  private static final long UNKNOWN = 2;
  private static final long CONTROL = 3;
  private static final long USER_DEFINED = 4;
  private static final long UNUSED = 5;
  private static final long BYTE = 6;

  /** Below every score that a merge gives. */
  private static final double UNMERGED = -1e6;

  private final String what;
  private final JsonNode root;
  private final String[] tokens;
  private final long[] types;
  private final Map<String, Integer> ids = new HashMap<>();

  /**
   * Reads the tokens.
   *
   * @param what the file, for messages
   * @param size the model's vocabulary
   * @throws MoeException if there are more tokens than that, or a token is no text
   */
  Vocabulary(String what, JsonNode root, int size) {
    this.what = what;
    this.root = root;
    this.tokens = new String[size];
    this.types = new long[size];
    Arrays.fill(types, UNUSED);
    JsonNode model = root.path("model");
    for (Map.Entry<String, JsonNode> entry : model.path("vocab").properties()) {
      set(entry.getKey(), entry.getValue(), NORMAL);
    }
    boolean fallback = model.path("byte_fallback").asBoolean(false);
    for (int i = 0; i < size; i++) {
      if (fallback && tokens[i] != null && tokens[i].matches("<0x[0-9A-F]{2}>")) {
        types[i] = BYTE;
      }
    }
    for (JsonNode added : root.path("added_tokens")) {
      boolean special = added.path("special").asBoolean(false);
      set(added.path("content").asString(""), added.path("id"), special ? CONTROL : USER_DEFINED);
    }
    Integer unknown = ids.get(model.path("unk_token").asString(""));
    if (unknown != null) {
      types[unknown] = UNKNOWN;
    }
    fill();
  }

  private void set(String token, JsonNode id, long type) {
    if (!id.canConvertToInt() || id.intValue() < 0 || token.isEmpty()) {
      throw new MoeException(what + ": the token '" + token + "' has no spelling or no id");
    }
    if (id.intValue() >= tokens.length) {
      throw new MoeException(
          what
              + ": token "
              + id.intValue()
              + " is outside the model's vocabulary of "
              + tokens.length
              + "; tokenizer and model do not belong together");
    }
    tokens[id.intValue()] = token;
    types[id.intValue()] = type;
    ids.put(token, id.intValue());
  }

  /** Ids without a token get a name of their own; no two may be alike. */
  private void fill() {
    Set<String> taken = new HashSet<>();
    for (int i = 0; i < tokens.length; i++) {
      String token = tokens[i] == null ? "[PAD" + i + "]" : tokens[i];
      while (!taken.add(token)) {
        token += "_";
      }
      tokens[i] = token;
    }
  }

  /** The id of a token by its spelling, -1 if there is none. */
  int id(String token) {
    return ids.getOrDefault(token, -1);
  }

  /** Byte-level pair encoding. */
  void byteLevel(String rules, Keys keys) {
    keys.general("tokenizer.ggml.model", "gpt2")
        .general("tokenizer.ggml.pre", rules)
        .general("tokenizer.ggml.tokens", tokens)
        .general("tokenizer.ggml.token_type", types)
        .general("tokenizer.ggml.merges", merges().toArray(String[]::new));
  }

  /** Pairs of scored pieces with bytes for what has none: the earlier a merge, the better. */
  void scored(Keys keys) {
    double[] scores = new double[tokens.length];
    Arrays.fill(scores, UNMERGED);
    List<String> merges = merges();
    for (int rank = merges.size() - 1; rank >= 0; rank--) {
      int id = id(merges.get(rank).replace(" ", ""));
      if (id >= 0) {
        scores[id] = -rank;
      }
    }
    boolean prefix = prefixed(root.path("normalizer")) || prefixed(root.path("pre_tokenizer"));
    keys.general("tokenizer.ggml.model", "llama")
        .general("tokenizer.ggml.pre", "default")
        .general("tokenizer.ggml.tokens", tokens)
        .general("tokenizer.ggml.scores", scores)
        .general("tokenizer.ggml.token_type", types)
        .general("tokenizer.ggml.add_space_prefix", prefix);
  }

  /** True if a space goes before every text. */
  private static boolean prefixed(JsonNode step) {
    boolean own =
        switch (step.path("type").asString("")) {
          case "Prepend" -> true;
          case "Metaspace" ->
              !step.path("prepend_scheme").asString("always").equals("never")
                  && step.path("add_prefix_space").asBoolean(true);
          default -> false;
        };
    for (String inside : List.of("normalizers", "pretokenizers")) {
      for (JsonNode s : step.path(inside)) {
        own |= prefixed(s);
      }
    }
    return own;
  }

  /** Pairs, the two parts with a space between. */
  private List<String> merges() {
    return root.path("model").path("merges").valueStream().map(this::merge).toList();
  }

  private String merge(JsonNode merge) {
    if (merge.isString()) {
      return merge.stringValue();
    }
    if (merge.size() != 2 || !merge.path(0).isString() || !merge.path(1).isString()) {
      throw new MoeException(what + ": a merge is no pair of tokens");
    }
    return merge.path(0).stringValue() + " " + merge.path(1).stringValue();
  }
}
