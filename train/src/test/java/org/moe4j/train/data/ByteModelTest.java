package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class ByteModelTest {
  private static final int END = 256;
  private static final List<String> TEXTS = Fixtures.corpus().subList(0, 60);

  private final TokenStream training = Streams.of(TEXTS);

  @Test
  void probabilitiesSumToOneInEveryContext() {
    Random random = new Random(1);
    for (int order = 0; order <= 2; order++) {
      ByteModel model = ByteModel.train(order, training);
      for (int trial = 0; trial < 300; trial++) {
        // Letters make seen contexts, the others mostly unseen ones.
        int second = trial % 2 == 0 ? 'a' + random.nextInt(26) : random.nextInt(257);
        int first = trial % 3 == 0 ? random.nextInt(257) : 'a' + random.nextInt(26);
        double sum = 0;
        for (int symbol = 0; symbol < ByteModel.SYMBOLS; symbol++) {
          double probability = model.probability(second, first, symbol);
          assertThat(probability).isPositive();
          sum += probability;
        }
        assertThat(sum).isEqualTo(1.0, within(1e-12));
      }
    }
  }

  @Test
  void probabilitiesAreThoseOfTheFormula() {
    List<int[]> texts = symbols();
    for (int order = 0; order <= 2; order++) {
      ByteModel model = ByteModel.train(order, training);
      for (int[] text : texts.subList(0, 10)) {
        for (int i = 2; i < text.length; i++) {
          double expected = 1.0 / 257;
          for (int o = 0; o <= order; o++) {
            expected = wittenBell(texts, text, i, o, expected);
          }
          assertThat(model.probability(text[i - 2], text[i - 1], text[i]))
              .isEqualTo(expected, within(1e-12));
        }
      }
    }
  }

  /** Every text with two ends before it and one behind. */
  private static List<int[]> symbols() {
    List<int[]> all = new ArrayList<>();
    for (String text : TEXTS) {
      byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
      int[] symbols = new int[bytes.length + 3];
      java.util.Arrays.fill(symbols, END);
      for (int i = 0; i < bytes.length; i++) {
        symbols[i + 2] = bytes[i] & 0xFF;
      }
      all.add(symbols);
    }
    return all;
  }

  private static double wittenBell(List<int[]> texts, int[] text, int at, int order, double lower) {
    int total = 0;
    int count = 0;
    HashSet<Integer> different = new HashSet<>();
    for (int[] other : texts) {
      for (int i = 2; i < other.length; i++) {
        boolean same = true;
        for (int back = 1; back <= order; back++) {
          same &= other[i - back] == text[at - back];
        }
        if (same) {
          total++;
          different.add(other[i]);
          count += other[i] == text[at] ? 1 : 0;
        }
      }
    }
    return total == 0 ? lower : (count + different.size() * lower) / (total + different.size());
  }

  @Test
  void bitsPerByteSumTheBytesAndTheEndsOverTheBytes() {
    List<String> heldOut = Fixtures.corpus().subList(300, 340);
    ValidationSet set = new ValidationSet(Streams.of(heldOut), 4, 16, Integer.MAX_VALUE);
    for (int order = 0; order <= 2; order++) {
      ByteModel model = ByteModel.train(order, training);
      double bits = 0;
      long bytes = 0;
      for (String text : heldOut) {
        int second = END;
        int first = END;
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
          bits -= Math.log(model.probability(second, first, b & 0xFF)) / Math.log(2);
          second = first;
          first = b & 0xFF;
          bytes++;
        }
        bits -= Math.log(model.probability(second, first, END)) / Math.log(2);
      }
      assertThat(model.bitsPerByte(set)).isEqualTo(bits / bytes, within(1e-9));
    }
  }

  @Test
  void higherOrdersPredictBetter() {
    TokenStream all = Streams.of(Fixtures.corpus().subList(0, 600));
    TokenStream held = Streams.of(Fixtures.corpus().subList(600, 700));
    ValidationSet set = new ValidationSet(held, 4, 16, Integer.MAX_VALUE);
    double order0 = ByteModel.train(0, all).bitsPerByte(set);
    double order1 = ByteModel.train(1, all).bitsPerByte(set);
    double order2 = ByteModel.train(2, all).bitsPerByte(set);
    assertThat(order0).isLessThan(8);
    assertThat(order1).isLessThan(order0);
    assertThat(order2).isLessThan(order1);
  }

  @Test
  void otherOrdersAreRefused() {
    for (int order : new int[] {-1, 3}) {
      assertThatThrownBy(() -> ByteModel.train(order, training))
          .isInstanceOf(MoeException.class)
          .hasMessageContaining("byte model of order " + order);
    }
  }
}
