package org.moe4j.models.gguf;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The name that readers of GGUF have for the rules by which a {@code tokenizer.json} cuts text into
 * words, found by the rules themselves.
 */
final class PreTokenizerRules {
  private static final String ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  private static final String SPACES = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String PLAIN =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  private static final String DIGIT = "\\p{N}";
  private static final String THREE = "\\p{N}{1,3}";
  private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String CASED =
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*" + LOWER + "+";

  private PreTokenizerRules() {}

  private static String words(String digits) {
    return ENDINGS
        + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
        + digits
        + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
        + SPACES;
  }

  /**
   * The name of the rules.
   *
   * @param root of a {@code tokenizer.json} with a byte-level model
   */
  static Optional<String> name(JsonNode root) {
    List<String> rules = new ArrayList<>();
    collect(root.path("pre_tokenizer"), rules);
    boolean ignoresMerges = root.path("model").path("ignore_merges").asBoolean(false);
    return Optional.ofNullable(
        switch (rules.size()) {
          case 1 -> single(rules.getFirst(), ignoresMerges);
          case 2 -> rules.equals(List.of(DIGIT, PLAIN)) ? "starcoder" : null;
          case 3 ->
              rules.getFirst().equals(THREE) && rules.get(2).startsWith("[!\"#$%&'()*+,")
                  ? "deepseek-v3"
                  : null;
          case 5, 6 -> deepseek(rules);
          default -> null;
        });
  }

  private static @Nullable String single(String rule, boolean ignores) {
    if (rule.equals(PLAIN)) {
      return "gpt-2";
    }
    if (rule.equals(words(DIGIT))) {
      return "qwen2";
    }
    if (rule.equals(words(THREE))) {
      return ignores ? "llama-bpe" : "smaug-bpe";
    }
    if (rule.startsWith(CASED)) {
      boolean endings = rule.startsWith(CASED + ENDINGS + "?|") && rule.contains(THREE);
      boolean none = rule.startsWith(CASED + "|") && !rule.contains(THREE);
      return endings ? "gpt-4o" : none ? "tekken" : null;
    }
    return null;
  }

  private static @Nullable String deepseek(List<String> rules) {
    if (!rules.getFirst().equals("[\\r\\n]")) {
      return null;
    }
    boolean ranges = rules.get(1).startsWith("\\s?[A-Za-z") && rules.get(3).equals("\\s+$");
    boolean classes = rules.get(1).equals("\\s?\\p{L}+") && rules.get(2).equals("\\s?\\p{P}+");
    return ranges ? "deepseek-llm" : classes ? "deepseek-coder" : null;
  }

  /** The expressions of all steps, in order. */
  private static void collect(JsonNode step, List<String> rules) {
    switch (step.path("type").asString("")) {
      case "Sequence" -> step.path("pretokenizers").forEach(s -> collect(s, rules));
      case "Split" -> {
        JsonNode pattern = step.path("pattern");
        rules.add(escaped(pattern.path("Regex").asString(pattern.path("String").asString(""))));
      }
      case "Digits" ->
          rules.add(step.path("individual_digits").asBoolean(false) ? DIGIT : DIGIT + "+");
      case "ByteLevel" -> {
        if (step.path("use_regex").asBoolean(true)) {
          rules.add(PLAIN);
        }
      }
      default -> rules.add(step.path("type").asString("none"));
    }
  }

  /** Line ends are written as such in some files, escaped in others. */
  private static String escaped(String rule) {
    return rule.replace("\r", "\\r").replace("\n", "\\n");
  }
}
