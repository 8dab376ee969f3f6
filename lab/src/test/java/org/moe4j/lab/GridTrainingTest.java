package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.Device;

class GridTrainingTest {
  private static final int STEPS = 3;

  private final Bench bench = new Bench(Device.CPU, 256);
  private final LanguageArm small =
      LanguageArm.of("model.hidden=16", "model.heads=2", "model.kv-heads=2", "model.ffn=16");
  private final ModelGrid grid =
      new ModelGrid(
          List.of(
              new ModelGrid.Model(small.with("model.placement=none"), 1),
              new ModelGrid.Model(small.with("moe.router=hash", "moe.experts=2"), 2)));

  private GridTraining training(String reader) {
    return GridTraining.of(reader, grid, bench, 1, STEPS);
  }

  private static List<Double> losses(GridTraining training) {
    for (int i = 0; i < STEPS; i++) {
      training.step(i);
    }
    return training.losses();
  }

  @Test
  void readersShareATrainingAndOneThatAsksAgainGetsAnother() {
    GridTraining first = training("a");
    assertThat(training("b")).isSameAs(first);
    GridTraining again = training("a");
    assertThat(again).isNotSameAs(first);
    List<Double> losses = losses(first);
    assertThat(losses).hasSize(2).doesNotHaveDuplicates();
    assertThat(losses(again)).isEqualTo(losses);
    // Whoever reads later gets what is known.
    assertThat(first.step(STEPS - 1)).isEqualTo(first.means().getLast());
    assertThat(first.losses()).isEqualTo(losses);
  }

  @Test
  void readersOnSeveralThreadsSeeTheSame() {
    List<Double> alone = losses(training("alone"));
    List<List<Double>> seen =
        SideBySide.run(3, List.of("x", "y", "z"), (reader, failed) -> losses(training(reader)));
    assertThat(seen).containsOnly(alone);
  }
}
