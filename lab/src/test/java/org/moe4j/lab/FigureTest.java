package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class FigureTest {
  private static final Results RESULTS =
      Synthetic.losses(Map.of("narrow", List.of(3.0, 4.0), "wide", List.of(1.0, 2.0)));

  @Test
  void aSweepOverArmsIsSortedAndKnowsItsSeeds() {
    Figure.Series series =
        Figure.Series.overArms("system", RESULTS, Metric.LOSS, Map.of(2.0, "wide", 1.0, "narrow"));
    assertThat(series.points())
        .containsExactly(new Figure.Point(1, 3.5, 3, 4), new Figure.Point(2, 1.5, 1, 2));
  }

  @Test
  void aSweepOverValuesOfOneArmRefusesWhatWasNotMeasured() {
    Map<Double, String> keys = Map.of(0.5, "loss", 1.0, "loss at 1");
    assertThat(Figure.Series.overValues("wide", RESULTS, "wide", Map.of(0.5, "loss")).points())
        .containsExactly(new Figure.Point(0.5, 1.5, 1, 2));
    assertThatThrownBy(() -> Figure.Series.overValues("wide", RESULTS, "wide", keys))
        .isInstanceOf(MoeException.class)
        .hasMessage("arm \"wide\" did not measure \"loss at 1\"");
  }

  @Test
  void figuresStandInThePageWithTheirAxes() {
    Experiment experiment =
        Synthetic.experiment(3, 3.3, Synthetic.COST)
            .showing(
                results ->
                    List.of(
                        new Figure(
                            "Loss <and> budget",
                            Figure.Axis.log("budget"),
                            Figure.Axis.linear("loss"),
                            List.of(
                                Figure.Series.overArms(
                                    "ours", results, Metric.LOSS, Map.of(1.0, "ours"))))));
    Results results = Synthetic.losses(List.of(1.0, 2.0), List.of(3.0, 4.0));
    assertThat(ExperimentPage.html(Report.of(experiment, results, "cpu")))
        .contains("Loss &lt;and&gt; budget", "loss over budget", "\"logarithmic\":true")
        .doesNotContain("<and>");
  }
}
