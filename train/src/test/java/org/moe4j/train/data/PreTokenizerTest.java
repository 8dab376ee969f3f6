package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class PreTokenizerTest {
  /** White_Space is spelled out: Java's own classes differ on U+0085. */
  private static final Pattern GPT2 =
      Pattern.compile(
          """
          's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^S\\p{L}\\p{N}]+|[S]+(?![^S])|[S]+\
          """
              .replace("S", "\\p{IsWhite_Space}"));

  @Test
  void everyCodePointIsOfTheKindTheTokenizersLibraryTakesItFor() {
    int start = 0;
    char kind = 'O';
    for (String run : (Fixtures.text("code-points.txt") + "110000O").split("\\s+", -1)) {
      int next = Integer.parseInt(run.substring(0, run.length() - 1), 16);
      for (int point = start; point < next; point++) {
        if (point < Character.MIN_SURROGATE || point > Character.MAX_SURROGATE) {
          assertThat(kind(point)).as("U+%04X", point).isEqualTo(kind);
        }
      }
      start = next;
      kind = run.charAt(run.length() - 1);
    }
  }

  /** A letter sticks to a letter, a digit to a digit, a sign to a sign. */
  private static char kind(int point) {
    String text = Character.toString(point);
    if (split("a" + text).size() == 1) {
      return 'L';
    }
    if (split("1" + text).size() == 1) {
      return 'N';
    }
    return split("!" + text).size() == 1 ? 'O' : 'S';
  }

  @Test
  void cutsWhereTheRegularExpressionDoes() {
    Random random = new Random(3);
    String[] alphabet = {
      "a", "s", "t", "r", "e", "v", "l", "m", "d", "É", "日", "1", "½", "'", "'", " ", " ", "\n",
      "\t", "\u00a0", "\u0085", "!", "-", "\u0301", "🎉", "𐐷", "\0"
    };
    for (int trial = 0; trial < 20_000; trial++) {
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(12); i >= 0; i--) {
        text.append(alphabet[random.nextInt(alphabet.length)]);
      }
      List<String> expected = new ArrayList<>();
      Matcher matcher = GPT2.matcher(text);
      while (matcher.find()) {
        expected.add(matcher.group());
      }
      assertThat(split(text.toString())).containsExactlyElementsOf(expected);
    }
  }

  private static List<String> split(String text) {
    List<String> pieces = new ArrayList<>();
    PreTokenizer.split(
        text, 0, text.length(), (start, end) -> pieces.add(text.substring(start, end)));
    return pieces;
  }
}
