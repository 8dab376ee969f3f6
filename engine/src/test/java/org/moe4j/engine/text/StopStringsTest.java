package org.moe4j.engine.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StopStringsTest {
  @Test
  void textIsHeldBackOnlyWhileItMayBeAStop() {
    StopStrings stops = new StopStrings(List.of("\n\nUser:", "END"));
    assertThat(stops.push("a")).isEqualTo("a");
    assertThat(stops.push("b\n")).isEqualTo("b");
    assertThat(stops.push("c")).isEqualTo("\nc");
    assertThat(stops.push("\n\nUs")).isEmpty();
    assertThat(stops.push("es E")).isEqualTo("\n\nUses ");
    assertThat(stops.finish()).isEqualTo("E");
    assertThat(stops.found()).isFalse();
  }

  @Test
  void nothingIsToldFromAStopOn() {
    StopStrings stops = new StopStrings(List.of("END"));
    assertThat(stops.push("the E")).isEqualTo("the ");
    assertThat(stops.push("ND and more")).isEmpty();
    assertThat(stops.found()).isTrue();
    assertThat(stops.push("more")).isEmpty();
    assertThat(stops.finish()).isEmpty();
  }

  /** The text before the stop that is complete first, the longest of those. */
  private static String definition(String text, List<String> stops) {
    for (int end = 1; end <= text.length(); end++) {
      String seen = text.substring(0, end);
      int begin =
          stops.stream().filter(seen::endsWith).mapToInt(s -> -s.length()).min().orElse(1) + end;
      if (begin <= end) {
        return text.substring(0, begin);
      }
    }
    return text;
  }

  @Test
  void howTheTextIsCutChangesNothing() {
    Random random = new Random(1);
    for (int round = 0; round < 3000; round++) {
      List<String> stops = new ArrayList<>();
      for (int i = random.nextInt(4); i >= 0; i--) {
        stops.add(letters(random, 1 + random.nextInt(5)));
      }
      String text = letters(random, random.nextInt(20));
      StopStrings watched = new StopStrings(stops);
      StringBuilder told = new StringBuilder();
      for (int at = 0; at < text.length(); ) {
        int to = Math.min(text.length(), at + random.nextInt(4));
        told.append(watched.push(text.substring(at, to)));
        at = to;
      }
      told.append(watched.finish());
      String expected = definition(text, stops);
      assertThat(told.toString()).as(text + " " + stops).isEqualTo(expected);
    }
  }

  private static String letters(Random random, int length) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) {
      text.append((char) ('a' + random.nextInt(3)));
    }
    return text.toString();
  }
}
