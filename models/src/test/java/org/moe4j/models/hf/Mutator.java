package org.moe4j.models.hf;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Damages files by chance, the same way for the same seed. */
final class Mutator {
  private static final Pattern NUMBER = Pattern.compile("-?\\d+(\\.\\d+)?([eE][-+]?\\d+)?");
  private static final Pattern WORD = Pattern.compile("\"[^\"]*\"");
  private static final List<String> NUMBERS =
      List.of(
          "0",
          "-1",
          "1",
          "2",
          "3",
          "7",
          "0.5",
          "1e308",
          "-1e-320",
          "255",
          "65536",
          "1000003",
          "2147483647",
          "2147483648",
          "4294967296",
          "9223372036854775807",
          "9223372036854775808",
          "99999999999999999999999",
          "null",
          "true",
          "[]",
          "{}",
          "\"x\"",
          "[1, 2]");
  private static final List<String> WORDS =
      List.of(
          "\"\"",
          "\"../x\"",
          "\"F64\"",
          "\"U8\"",
          "\"F8_E4M3\"",
          "\"BOOL\"",
          "\"\\u0000\"",
          "\"dtype\"",
          "\"shape\"",
          "\"model_type\"",
          "null",
          "[]",
          "{}",
          "17",
          "\"softmax-top-k\"",
          "\"hash\"",
          "\"peer\"",
          "\"expert-choice\"",
          "\"moe4j\"",
          "\"mixtral\"",
          "\"olmoe\"");

  private final SplittableRandom random;

  Mutator(long seed) {
    this.random = new SplittableRandom(seed);
  }

  int below(int n) {
    return random.nextInt(n);
  }

  /** One to three changes to a JSON text: numbers, words, structure or bytes. */
  byte[] json(byte[] text) {
    byte[] changed = text;
    for (int i = 1 + below(3); i > 0; i--) {
      changed =
          switch (below(8)) {
            case 0, 1, 2 -> replaced(changed, NUMBER, NUMBERS);
            case 3, 4 -> replaced(changed, WORD, WORDS);
            case 5 -> swapped(changed);
            default -> bytes(changed, changed.length);
          };
    }
    return changed;
  }

  private byte[] replaced(byte[] text, Pattern what, List<String> by) {
    String s = new String(text, StandardCharsets.ISO_8859_1);
    List<MatchResult> found = what.matcher(s).results().toList();
    if (found.isEmpty()) {
      return text;
    }
    MatchResult at = found.get(below(found.size()));
    String made = s.substring(0, at.start()) + by.get(below(by.size())) + s.substring(at.end());
    return made.getBytes(StandardCharsets.ISO_8859_1);
  }

  /** One quoted word in place of another of the same text. */
  private byte[] swapped(byte[] text) {
    String s = new String(text, StandardCharsets.ISO_8859_1);
    Matcher words = WORD.matcher(s);
    List<String> all = words.results().map(MatchResult::group).toList();
    return all.isEmpty() ? text : replaced(text, WORD, all);
  }

  /** One change to the first {@code most} bytes: flipped, overwritten, cut, repeated, dropped. */
  byte[] bytes(byte[] whole, int most) {
    if (whole.length == 0) {
      return whole;
    }
    int at = below(Math.min(most, whole.length));
    int n = Math.min(1 + below(16), whole.length - at);
    byte[] changed = whole.clone();
    return switch (below(6)) {
      case 0, 1 -> {
        changed[at] ^= (byte) (1 << below(8));
        yield changed;
      }
      case 2 -> {
        for (int i = 0; i < n; i++) {
          changed[at + i] = (byte) below(256);
        }
        yield changed;
      }
      case 3 -> Arrays.copyOf(whole, at);
      case 4 -> joined(whole, at + n, at);
      default -> joined(whole, at, at + n);
    };
  }

  private static byte[] joined(byte[] whole, int end, int start) {
    byte[] made = Arrays.copyOf(whole, end + whole.length - start);
    System.arraycopy(whole, start, made, end, whole.length - start);
    return made;
  }
}
