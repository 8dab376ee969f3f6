package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class EffectStripTest {
  private static String strip(Criterion criterion, List<Double> ours) {
    return EffectStrip.of(criterion.judge(Synthetic.losses(ours, List.of(1.0, 1.0))));
  }

  @Test
  void hasADotForEachSeedAndShadesWhereTheCriterionIsMet() {
    Metric difference = new Metric("loss", "loss", Metric.Better.LOWER, Metric.Scale.DIFFERENCE, 2);
    Criterion better = Criterion.better("ours", "theirs", difference, 0.5, 0.25);
    // Effects 0 and 1 are the ends of a line of 280 with margins of 16; their mean is its middle.
    String strip = strip(better, List.of(1.0, 0.0));
    assertThat(strip)
        .contains("<circle class=\"seed\" cx=\"52.3\"", "<circle class=\"mean\" cx=\"140.0\"")
        .contains("<circle class=\"seed\" cx=\"227.7\"", "class=\"expected\"")
        .containsPattern("class=\"counts\" x=\"9\\d\\.\\d\"");
    assertThat(strip(Criterion.notWorse("ours", "theirs", difference, 0.25), List.of(1.0, 0.0)))
        .doesNotContain("class=\"expected\"")
        .contains(">-0.250<");
  }

  @Test
  void whatDivergedHasNone() {
    assertThat(
            strip(
                Criterion.better("ours", "theirs", Metric.LOSS, 0.5, 0.25),
                List.of(Double.NaN, 1.0)))
        .isEmpty();
  }
}
