package org.moe4j.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RoutingTest {
  private static final float[] NONE = {};

  private static Routing routing(Gating gating, boolean normalised, float scale, int groups) {
    return new Routing(
        new MixtureShape(6, 2, 32, gating, normalised, scale, groups, Math.max(1, groups - 1)), 1);
  }

  private static int[] choose(Routing routing, float[] logits, float[] preference) {
    routing.reserve(1);
    routing.choose(0, logits, 0, preference, 0);
    return new int[] {routing.chosen(0, 0), routing.chosen(0, 1)};
  }

  @Test
  void softmaxIsThatOfAllExpertsOfTheChosenOrDividedByItsSum() {
    float[] logits = {0, (float) Math.log(2), 0, (float) Math.log(4), 0, 0};
    Routing plain = routing(Gating.SOFTMAX, false, 3, 1);
    assertThat(choose(plain, logits, NONE)).containsExactly(3, 1);
    assertThat(plain.weight(0, 0)).isCloseTo(3 * 0.4f, within(1e-6f));
    assertThat(plain.weight(0, 1)).isCloseTo(3 * 0.2f, within(1e-6f));
    for (Routing one :
        new Routing[] {routing(Gating.SOFTMAX, true, 1, 1), routing(Gating.CHOSEN, false, 1, 1)}) {
      assertThat(choose(one, logits, NONE)).containsExactly(3, 1);
      assertThat(one.weight(0, 0)).isCloseTo(2 / 3f, within(1e-6f));
      assertThat(one.weight(0, 1)).isCloseTo(1 / 3f, within(1e-6f));
    }
  }

  @Test
  void preferenceChoosesButDoesNotWeigh() {
    Routing routing = routing(Gating.SIGMOID, false, 1, 1);
    float[] logits = {0, 2, 0, 1, 0, -1};
    assertThat(choose(routing, logits, new float[] {0, 0, 0, 0, 0, 9})).containsExactly(5, 1);
    assertThat(routing.weight(0, 0)).isCloseTo((float) (1 / (1 + Math.E)), within(1e-6f));
  }

  @Test
  void worstGroupByItsTwoBestIsLeftOut() {
    Routing routing = routing(Gating.SIGMOID, false, 1, 3);
    float[] logits = {3, -5, 1, 1, 0.9f, 0.9f};
    assertThat(choose(routing, logits, NONE)).containsExactly(2, 3);
  }

  @Test
  void underSoftmaxABestExpertKeepsItsGroup() {
    Routing routing = routing(Gating.SOFTMAX, false, 1, 3);
    float[] logits = {3, -5, 1, 1, 0.9f, 0.9f};
    assertThat(choose(routing, logits, NONE)).containsExactly(0, 2);
  }

  @Test
  void equalExpertsAreTakenFromTheFirstOn() {
    Routing routing = routing(Gating.SOFTMAX, true, 1, 1);
    assertThat(choose(routing, new float[] {1, 5, 5, 5, 1, 1}, NONE)).containsExactly(1, 2);
    assertThat(choose(routing, new float[6], NONE)).containsExactly(0, 1);
  }

  @ParameterizedTest
  @EnumSource(Gating.class)
  void expertsAreDifferentWhateverTheLogits(Gating gating) {
    Routing routing = routing(gating, true, 1, 3);
    for (float odd :
        new float[] {Float.NaN, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY, 200, -200}) {
      float[] logits = {odd, odd, odd, odd, odd, odd};
      assertThat(choose(routing, logits, NONE)).doesNotHaveDuplicates();
      logits[4] = 0;
      assertThat(choose(routing, logits, new float[] {0, 0, odd, 0, 0, 0})).doesNotHaveDuplicates();
    }
  }
}
