package org.moe4j.train.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class LoadHistoryTest {
  private static final JsonMapper JSON = new JsonMapper();

  private static JsonNode load(String text) {
    return JSON.readTree(text);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 128, 129, 1000, 10_001})
  void aHistoryOfAnyLengthKeepsEveryToken(int lines) {
    LoadHistory history = new LoadHistory();
    for (int step = 1; step <= lines; step++) {
      history.add(step, load("[[%d,1,2],[3,%d,0]]".formatted(step, 2 * step)));
    }
    List<LoadHistory.Stretch> stretches = history.stretches();
    assertThat(stretches).hasSizeBetween(Math.min(lines, 64), 128);
    double expected = 0;
    for (LoadHistory.Stretch stretch : stretches) {
      assertThat(stretch.from()).isEqualTo(expected + 1);
      expected = stretch.to();
    }
    assertThat(expected).isEqualTo(lines);
    double all = (double) lines * (lines + 1) / 2;
    assertThat(stretches.stream().mapToDouble(s -> s.counts()[0][0]).sum()).isEqualTo(all);
    assertThat(stretches.stream().mapToDouble(s -> s.counts()[1][1]).sum()).isEqualTo(2 * all);
    assertThat(history.imbalance().get(0).size()).isEqualTo(lines);
  }

  @Test
  void imbalanceIsTheLargestOverTheMean() {
    LoadHistory history = new LoadHistory();
    history.add(1, load("[[6,2,0,0],[2,2,2,2]]"));
    history.add(2, load("[[0,0,0,0],[1,0,0,0]]"));
    assertThat(history.imbalance().get(0).value(0)).isEqualTo(3);
    assertThat(history.imbalance().get(1).value(0)).isEqualTo(1);
    assertThat(history.imbalance().get(0).value(1)).isNaN();
    assertThat(history.imbalance().get(1).value(1)).isEqualTo(4);
  }

  @Test
  void linesOfAnotherShapeAreRefused() {
    LoadHistory history = new LoadHistory();
    history.add(1, load("[[1,2],[3,4]]"));
    for (String other :
        List.of(
            "[[1,2]]", "[[1,2],[3]]", "[[1,2],[3,-4]]", "[[1,2],[3,null]]", "[1,2]", "{\"a\":1}")) {
      history.add(2, load(other));
    }
    assertThat(history.refused()).isEqualTo(6);
    assertThat(history.stretches()).hasSize(1);
    LoadHistory dense = new LoadHistory();
    dense.add(1, load("[]"));
    assertThat(dense.refused()).isZero();
  }

  @Test
  void thousandsOfExpertsAreSummedUpByTheirImbalanceAlone() {
    LoadHistory history = new LoadHistory();
    history.add(1, load("[[" + "1,".repeat(20_000) + "1]]"));
    assertThat(history.stretches()).isEmpty();
    assertThat(history.imbalance().getFirst().last()).isEqualTo(1);
  }

  @Test
  void aThinnedSeriesKeepsItsPeaks() {
    Series series = new Series();
    for (int i = 0; i < 10_000; i++) {
      series.add(i, i == 7777 ? 50 : i == 3333 ? -50 : i == 5000 ? Double.NaN : Math.sin(i));
    }
    Series thinned = series.thinned(500);
    assertThat(thinned.size()).isLessThanOrEqualTo(500);
    boolean high = false;
    boolean low = false;
    for (int i = 0; i < thinned.size(); i++) {
      assertThat(i == 0 || thinned.step(i) > thinned.step(i - 1)).isTrue();
      assertThat(thinned.value(i)).isNotNaN();
      high |= thinned.value(i) == 50 && thinned.step(i) == 7777;
      low |= thinned.value(i) == -50 && thinned.step(i) == 3333;
    }
    assertThat(high && low).isTrue();
    assertThat(series.missing()).isEqualTo(1);
  }

  @Test
  void smoothingDoesNotMoveAStraightLine() {
    Series series = new Series();
    for (int i = 0; i < 40; i++) {
      series.add(i, i == 20 ? Double.NaN : 3 - 0.5 * i);
    }
    Series smooth = series.smoothed(4);
    for (int i : new int[] {0, 1, 2, 10, 15, 20, 30, 35}) {
      assertThat(smooth.value(i)).isEqualTo(3 - 0.5 * i);
    }
    assertThat(smooth.last()).isEqualTo((series.value(35) + series.value(39)) / 2);
  }
}
