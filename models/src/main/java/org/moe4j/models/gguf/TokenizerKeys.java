package org.moe4j.models.gguf;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.moe4j.models.hf.SpecialTokens;
import org.moe4j.tensor.MoeException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** What a file says of text: the tokenizer of a checkpoint folder and its chat template. */
final class TokenizerKeys {
  private static final long LARGEST = 256L << 20;
  private static final JsonMapper MAPPER = new JsonMapper();
  private static final String TOKENIZER = "tokenizer.json";
  private static final String CONFIG = "tokenizer_config.json";
  private static final String GENERATION = "generation_config.json";
  private static final String TEMPLATE = "chat_template.jinja";
  private static final String KEY = "tokenizer.ggml.";

  private final Path folder;
  private final int size;
  private final SpecialTokens special;
  private final Keys keys;

  private TokenizerKeys(Path folder, int size, SpecialTokens special, Keys keys) {
    this.folder = folder;
    this.size = size;
    this.special = special;
    this.keys = keys;
  }

  /**
   * Writes the keys.
   *
   * @param size of the model's vocabulary
   * @param special the tokens that {@code config.json} names
   * @param remarks gets what the tokenizer loses
   * @throws MoeException if the tokenizer is damaged or has more tokens than the model
   */
  static void write(Path folder, int size, SpecialTokens special, Keys keys, List<String> remarks) {
    new TokenizerKeys(folder, size, special, keys).write(remarks);
  }

  private void write(List<String> remarks) {
    Path file = folder.resolve(TOKENIZER);
    Optional<JsonNode> root = json(file);
    if (root.isEmpty()) {
      without("no " + TOKENIZER + ", so the file is for token ids alone", remarks);
      return;
    }
    JsonNode tokenizer = root.get();
    JsonNode model = tokenizer.path("model");
    String type = model.path("type").asString("BPE");
    if (!type.equals("BPE")) {
      without(
          "tokenizers of type " + type + " are not written, so the file is for token ids alone",
          remarks);
      return;
    }
    Vocabulary vocabulary = new Vocabulary(file.toString(), tokenizer, size);
    if (model.path("byte_fallback").asBoolean(false)) {
      vocabulary.scored(keys);
    } else {
      Optional<String> rules = PreTokenizerRules.name(tokenizer);
      if (rules.isEmpty()) {
        remarks.add(
            "the tokenizer cuts words by rules that llama.cpp has no name for; GPT-2's are written,"
                + " so some texts become other tokens");
      }
      vocabulary.byteLevel(rules.orElse("gpt-2"), keys);
    }
    JsonNode config = json(folder.resolve(CONFIG)).orElseGet(MAPPER::createObjectNode);
    special(vocabulary, tokenizer, config);
    templates(config);
  }

  /**
   * A placeholder that programs around llama.cpp accept, which most do not of files without a
   * vocabulary: a token for each byte, then names made of the id.
   */
  private void without(String why, List<String> remarks) {
    remarks.add(why + "; its vocabulary is a placeholder of bytes");
    String[] tokens = new String[size];
    int next = 0;
    for (int id = 0; id < size; id++) {
      // The characters that stand for bytes in such vocabularies: printable Latin-1, then others.
      boolean printable = (id >= '!' && id <= '~') || (id >= 0xA1 && id != 0xAD);
      String letter = String.valueOf((char) (printable ? id : 0x100 + next));
      next += printable ? 0 : 1;
      tokens[id] = id < 256 ? letter : "[" + id + "]";
    }
    long[] types = new long[size];
    Arrays.fill(types, 1);
    keys.general(KEY + "model", "gpt2")
        .general(KEY + "pre", "gpt-2")
        .general(KEY + "tokens", tokens)
        .general(KEY + "token_type", types)
        .general(KEY + "merges", new String[0])
        .general(KEY + "add_bos_token", false);
    put("bos_token_id", special.bos());
    put("eos_token_id", special.eos().stream().mapToInt(i -> i).min());
    put("padding_token_id", special.pad());
  }

  private void special(Vocabulary vocabulary, JsonNode tokenizer, JsonNode config) {
    OptionalInt bos = named(vocabulary, config, "bos_token", special.bos());
    Set<Integer> ends = special.eos();
    OptionalInt first = ends.stream().mapToInt(i -> i).min();
    OptionalInt eos = named(vocabulary, config, "eos_token", first);
    put("bos_token_id", bos);
    put("eos_token_id", eos);
    put("padding_token_id", named(vocabulary, config, "pad_token", special.pad()));
    put("unknown_token_id", named(vocabulary, config, "unk_token", OptionalInt.empty()));
    List<Integer> others = new ArrayList<>(ends);
    json(folder.resolve(GENERATION))
        .ifPresent(g -> g.path("eos_token_id").forEach(id -> others.add(id.asInt(-1))));
    put(
        "eot_token_id",
        others.stream()
            .mapToInt(i -> i)
            .filter(i -> i >= 0 && i < size && i != eos.orElse(-1))
            .findFirst());
    JsonNode processor = tokenizer.path("post_processor");
    keys.general(KEY + "add_bos_token", bos.isPresent() && adds(processor, bos.getAsInt(), 0));
    keys.general(KEY + "add_eos_token", eos.isPresent() && adds(processor, eos.getAsInt(), -1));
  }

  private void put(String key, OptionalInt id) {
    if (id.isPresent() && id.getAsInt() >= 0 && id.getAsInt() < size) {
      keys.general(KEY + key, (long) id.getAsInt());
    }
  }

  /** The token that {@code tokenizer_config.json} names, else {@code otherwise}. */
  private static OptionalInt named(
      Vocabulary vocabulary, JsonNode config, String field, OptionalInt otherwise) {
    JsonNode value = config.path(field);
    String token = value.isObject() ? value.path("content").asString("") : value.asString("");
    int id = vocabulary.id(token);
    return id >= 0 ? OptionalInt.of(id) : otherwise;
  }

  /** Whether a single text gets this token at its beginning (0) or its end (-1). */
  private static boolean adds(JsonNode processor, int id, int where) {
    for (JsonNode inside : processor.path("processors")) {
      if (adds(inside, id, where)) {
        return true;
      }
    }
    JsonNode single = processor.path("single");
    int at = where < 0 ? single.size() - 1 : 0;
    String name = single.path(at).path("SpecialToken").path("id").asString("");
    JsonNode ids = processor.path("special_tokens").path(name).path("ids");
    return ids.size() == 1 && ids.path(0).asInt(-1) == id;
  }

  private void templates(JsonNode config) {
    String key = "tokenizer.chat_template";
    Path file = folder.resolve(TEMPLATE);
    JsonNode field = config.path("chat_template");
    if (Files.isRegularFile(file)) {
      keys.general(key, text(file));
    } else if (field.isString()) {
      keys.general(key, field.stringValue());
    } else {
      List<String> names = new ArrayList<>();
      for (JsonNode one : field) {
        String name = one.path("name").asString("");
        String template = one.path("template").asString("");
        if (name.equals("default")) {
          keys.general(key, template);
        } else if (!name.isEmpty()) {
          names.add(name);
          keys.general(key + "." + name, template);
        }
      }
      if (!names.isEmpty()) {
        keys.general("tokenizer.chat_templates", names.toArray(String[]::new));
      }
    }
  }

  private static String text(Path file) {
    try {
      if (Files.size(file) > LARGEST) {
        throw new MoeException(file + ": larger than 256 MB");
      }
      return Files.readString(file);
    } catch (IOException e) {
      throw new MoeException(file + ": cannot be read: " + e, e);
    }
  }

  private static Optional<JsonNode> json(Path file) {
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      JsonNode root = MAPPER.readTree(text(file));
      if (!root.isObject()) {
        throw new MoeException(file + ": must be a JSON object");
      }
      return Optional.of(root);
    } catch (JacksonException e) {
      String why = String.valueOf(e.getOriginalMessage()).lines().findFirst().orElse("unreadable");
      throw new MoeException(file + ": malformed JSON: " + why + "; fetch the file again", e);
    }
  }
}
