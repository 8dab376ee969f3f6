package org.moe4j.engine.text;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a text into the words inside which byte-level tokens are joined, by the rules that a model
 * was trained with; {@code tokenizer.ggml.pre} names them. A rule is a row of regular expressions:
 * each cuts every piece that those before it left, what it matches and what lies between becoming
 * pieces of their own.
 *
 * <p>The expressions are those of the {@code tokenizer.json} files of the models. None takes more
 * than linear time.
 */
final class PreTokenizer {
  private static final String ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  private static final String SPACES = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  /** Of GPT-2. */
  private static final String PLAIN =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

  private static final String DIGIT = "\\p{N}";
  private static final String HAN_AND_KANA = "[\\u4e00-\\u9fa5\\u3040-\\u30ff]+";
  private static final String WIDE = "[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+";
  private static final String NEWLINE = "[\\r\\n]";
  private static final String PUNCTUATION = "[\\p{P}\\$\\+<=>\\^~\\|]+";
  private static final String THREE_DIGITS = "[0-9][0-9][0-9]";

  /** Letters with case, of the scripts that DeepSeek's list of ranges names. */
  private static final String CASED =
      "[\\p{Lu}\\p{Ll}\\p{Lt}&&[^\\u0560-\\u0588\\u10c7-\\u10ff\\u1c80-\\u1c8a\\u2d00-\\u2d2d"
          + "\\ua790-\\uab68\\x{10500}-\\x{105ff}\\x{10d50}-\\x{10d85}\\x{16e40}-\\x{1e8ff}]]";

  private static final String MIXED =
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
          + "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*"
          + SPACES;

  /** Words with at most so many digits in a number. */
  private static String words(String digits) {
    return ENDINGS
        + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
        + digits
        + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
        + SPACES;
  }

  /** Words that end where capitals begin. */
  private static String cased(String ending, String digits, String without) {
    String upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}" + without + "]";
    String lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}" + without + "]";
    String before = "[^\\r\\n\\p{L}\\p{N}]?";
    return before
        + upper
        + "*"
        + lower
        + "+"
        + ending
        + "|"
        + before
        + upper
        + "+"
        + lower
        + "*"
        + ending
        + "|"
        + digits
        + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
        + SPACES;
  }

  private static final Map<String, List<String>> RULES = new TreeMap<>();

  static {
    rule("default", PUNCTUATION, PLAIN, "\\p{N}+", THREE_DIGITS);
    rule(
        "gpt-2 phi-2 olmo mpt jais trillion granite-docling gigachat a.x-4.0 mellum exaone4"
            + " modern-bert",
        PLAIN);
    rule("starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", DIGIT, PLAIN);
    rule("falcon", "[\\p{P}\\$\\+<=>\\^~\\|`]+", PLAIN, THREE_DIGITS);
    rule(
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe glm4"
            + " chatglm-bpe",
        words("\\p{N}{1,3}"));
    rule("qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2", words(DIGIT));
    rule(
        "qwen35",
        ENDINGS
            + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
            + SPACES);
    rule(
        "bailingmoe bailingmoe2 llada-moe",
        "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
            + "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+");
    rule(
        "seed-coder",
        ENDINGS + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" + SPACES);
    rule("gpt-4o llama4 kanana2 minimax-m2", cased(ENDINGS + "?", "\\p{N}{1,3}", ""));
    rule("tekken", cased("", DIGIT, ""));
    rule(
        "kimi-k2",
        "\\p{IsHan}+|"
            + cased(ENDINGS + "?", "\\p{N}{1,3}", "&&[^\\p{IsHan}]")
                .replace("[\\r\\n/]", "[\\r\\n]"));
    rule("deepseek-v3 hunyuan-dense joyai-llm", "\\p{N}{1,3}", HAN_AND_KANA, MIXED);
    rule("deepseek-coder", NEWLINE, "\\s?\\p{L}+", "\\s?\\p{P}+", WIDE, DIGIT);
    rule(
        "deepseek-llm",
        NEWLINE,
        "\\s?" + CASED + "+",
        "\\s?[!-/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002]+",
        // Looking behind makes the search for whitespace at the end linear.
        "(?<!\\s)\\s+\\z",
        WIDE,
        "\\p{N}+");
  }

  private static void rule(String names, String... expressions) {
    for (String name : names.split(" ", -1)) {
      RULES.put(name, List.of(expressions));
    }
  }

  private static final Set<String> WHOLE_WORDS =
      Set.of(
          "llama3",
          "llama-v3",
          "llama-bpe",
          "falcon3",
          "falcon-h1",
          "pixtral",
          "midm-2.0",
          "lfm2",
          "tekken");

  private final List<Pattern> stages;

  private PreTokenizer(List<String> expressions) {
    this.stages =
        expressions.stream().map(e -> Pattern.compile(e, Pattern.UNICODE_CHARACTER_CLASS)).toList();
  }

  /** True if the name is known. */
  static boolean knows(String name) {
    return RULES.containsKey(name);
  }

  /** True of those models in which a word that is a token is never put together of parts. */
  static boolean keepsWords(String name) {
    return WHOLE_WORDS.contains(name);
  }

  /** All names, sorted. */
  static String names() {
    return String.join(", ", RULES.keySet());
  }

  /** The one of a name that is known. */
  static PreTokenizer named(String name) {
    return new PreTokenizer(RULES.getOrDefault(name, List.of()));
  }

  /** Receives the words of a text in order. */
  interface Words {
    void word(int from, int to);
  }

  void split(String text, Words words) {
    List<Matcher> matchers = new ArrayList<>();
    stages.forEach(stage -> matchers.add(stage.matcher(text)));
    split(matchers, 0, 0, text.length(), words);
  }

  private static void split(List<Matcher> stages, int stage, int from, int to, Words words) {
    if (from == to) {
      return;
    }
    if (stage == stages.size()) {
      words.word(from, to);
      return;
    }
    // A region's bounds hide what lies behind them from every expression.
    Matcher matcher = stages.get(stage).region(from, to);
    int at = from;
    while (matcher.find()) {
      split(stages, stage + 1, at, matcher.start(), words);
      split(stages, stage + 1, matcher.start(), matcher.end(), words);
      at = matcher.end();
    }
    split(stages, stage + 1, at, to, words);
  }
}
