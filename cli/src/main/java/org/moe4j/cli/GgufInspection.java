package org.moe4j.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.moe4j.engine.gguf.GgufFile;
import org.moe4j.engine.gguf.GgufTensor;
import org.moe4j.engine.gguf.Metadata;
import org.moe4j.engine.plan.Role;
import tools.jackson.databind.node.ObjectNode;

/**
 * What the header of a GGUF file says, of whatever architecture.
 *
 * @param types bytes of the tensors of each type, by its name
 * @param roles bytes of the tensors by what they are for
 * @param parameters all of them
 * @param active those that a token meets
 */
record GgufInspection(
    Path file,
    Metadata metadata,
    String architecture,
    Map<String, Long> types,
    Map<Role, Long> roles,
    long bytes,
    long parameters,
    long active) {

  static GgufInspection of(Path path) {
    try (GgufFile file = GgufFile.open(path)) {
      Metadata m = file.metadata();
      String architecture =
          m.text("general.architecture").orElseThrow(() -> m.missing("general.architecture"));
      Map<String, Long> types = new TreeMap<>();
      Map<Role, Long> roles = new EnumMap<>(Role.class);
      long parameters = 0;
      long routed = 0;
      for (GgufTensor t : file.tensors()) {
        Role role = Role.of(t.name());
        types.merge(t.type().label(), t.data().byteSize(), Long::sum);
        roles.merge(role, t.data().byteSize(), Long::sum);
        parameters += t.elements();
        routed += role == Role.ROUTED ? t.elements() : 0;
      }
      long experts = m.whole(architecture + ".expert_count").orElse(0);
      long used = m.whole(architecture + ".expert_used_count").orElse(0);
      long idle = experts > 0 ? routed - Math.round((double) routed * used / experts) : 0;
      return new GgufInspection(
          path, m, architecture, types, roles, file.bytes(), parameters, parameters - idle);
    }
  }

  private OptionalLong number(String key) {
    return metadata.values().get(architecture + "." + key) instanceof Long value
        ? OptionalLong.of(value)
        : OptionalLong.empty();
  }

  private long tokens() {
    return metadata.texts("tokenizer.ggml.tokens").map(t -> (long) t.size()).orElse(0L);
  }

  private Map<String, OptionalLong> numbers() {
    Map<String, OptionalLong> all = new LinkedHashMap<>();
    all.put("layers", number("block_count"));
    all.put("hidden", number("embedding_length"));
    all.put("heads", number("attention.head_count"));
    all.put("kv_heads", number("attention.head_count_kv"));
    all.put("max_positions", number("context_length"));
    all.put("ffn", number("feed_forward_length"));
    all.put("experts", number("expert_count"));
    all.put("experts_used", number("expert_used_count"));
    all.put("experts_shared", number("expert_shared_count"));
    all.put("expert_ffn", number("expert_feed_forward_length"));
    return all;
  }

  private String mostly() {
    return types.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(Map.Entry::getKey)
        .orElse("no tensors");
  }

  void writeTo(ObjectNode json) {
    json.put("model", file.toString())
        .put("layout", "gguf")
        .put("architecture", architecture)
        .put("name", metadata.text("general.name").orElse(""))
        .put("dtype", mostly().toLowerCase(Locale.ROOT))
        .put("params_total", parameters)
        .put("params_active", active);
    numbers().forEach((key, value) -> value.ifPresent(n -> json.put(key, n)));
    json.putObject("tokenizer")
        .put("model", metadata.text("tokenizer.ggml.model").orElse(""))
        .put("pre", metadata.text("tokenizer.ggml.pre").orElse(""))
        .put("tokens", tokens())
        .put("chat_template", metadata.has("tokenizer.chat_template"));
    ObjectNode typed = json.putObject("bytes_by_type");
    types.forEach((type, size) -> typed.put(type.toLowerCase(Locale.ROOT), size));
    ObjectNode sizes = json.putObject("bytes");
    roles.forEach((role, size) -> sizes.put(role.name().toLowerCase(Locale.ROOT), size));
    sizes.put("total", bytes);
  }

  void print(PrintWriter out) {
    TextTable table = new TextTable(10);
    String name = metadata.text("general.name").map(n -> ", " + n).orElse("");
    table.row(
        "model",
        ModelText.harmless(file + " (gguf, " + architecture + name + ", mostly " + mostly() + ")"));
    table.row(
        "parameters",
        String.format(
            Locale.ROOT,
            "%,d, of which a token meets %,d (%.1f%%)",
            parameters,
            active,
            100.0 * active / Math.max(1, parameters)));
    table.row(
        "sizes",
        numbers().entrySet().stream()
            .filter(e -> e.getValue().isPresent())
            .map(
                e ->
                    String.format(
                        Locale.ROOT,
                        "%s %,d",
                        e.getKey().replace('_', ' '),
                        e.getValue().getAsLong()))
            .collect(Collectors.joining(", ")));
    table.row(
        "tokenizer",
        ModelText.harmless(
            String.format(
                Locale.ROOT,
                "%s%s, %,d tokens, %s",
                metadata.text("tokenizer.ggml.model").orElse("none"),
                metadata.text("tokenizer.ggml.pre").map(pre -> " (" + pre + ")").orElse(""),
                tokens(),
                metadata.has("tokenizer.chat_template") ? "a chat template" : "no chat template")));
    Map<String, Long> sizes = new LinkedHashMap<>();
    roles.forEach((role, size) -> sizes.put(role.label(), size));
    types.forEach((type, size) -> sizes.put("in " + type, size));
    sizes.put("total", bytes);
    DecoderText.bytes(sizes, table);
    table.print(out, 0);
  }
}
