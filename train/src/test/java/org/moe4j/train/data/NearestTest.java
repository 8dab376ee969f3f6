package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class NearestTest {
  @Test
  void distanceCountsEditsWithoutLetterCase() {
    assertThat(Nearest.distance("kitten", "sitting")).isEqualTo(3);
    assertThat(Nearest.distance("", "abc")).isEqualTo(3);
    assertThat(Nearest.distance("TEXT", "text")).isZero();
  }

  @Test
  void suggestsTheNearestNameThatIsNear() {
    List<String> known = List.of("learning_rate", "layers", "text");
    assertThat(Nearest.suggestion("layer", known)).isEqualTo("; did you mean \"layers\"?");
    assertThat(Nearest.suggestion("learningrate", known)).contains("learning_rate");
    assertThat(Nearest.suggestion("zzzz", known)).isEmpty();
    assertThat(Nearest.suggestion("x", List.of())).isEmpty();
  }
}
