package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Tensor;

class KMeansTest extends InScope {
  /** The nearest by two loops, the first among equals. */
  private static long nearest(double[] x, double[][] centres) {
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int c = 0; c < centres.length; c++) {
      double sum = 0;
      for (int i = 0; i < x.length; i++) {
        sum += (x[i] - centres[c][i]) * (x[i] - centres[c][i]);
      }
      if (sum < least) {
        least = sum;
        best = c;
      }
    }
    return best;
  }

  @Test
  void assignsAsScikitLearnDoes() throws Exception {
    Path file = Path.of(KMeansTest.class.getResource("/kmeans/predicted.safetensors").toURI());
    try (Safetensors known = Safetensors.open(file)) {
      KMeans clusters = KMeans.of(known.load("centroids"));
      assertThat(clusters.predict(known.load("points"))).isEqualTo(known.load("labels").toLongs());
    }
  }

  @Test
  void tiesGoToTheFirstAndOutliersSomewhere() {
    KMeans clusters = KMeans.of(matrix(new double[][] {{0, 2}, {1, 0}, {1, 0}, {-1, 0}}));
    Tensor points = matrix(new double[][] {{1, 0}, {0, -5}, {1e12, 3}});
    assertThat(clusters.predict(points)).containsExactly(1, 1, 1);
  }

  @Test
  void everyPointIsWithTheNearestOfTheFoundCentresWhichAreMeans() {
    Tensor points = normal(300, 5);
    KMeans found = KMeans.fit(points, 7, new RandomSource(3));
    double[][] centres = rows(found.centroids());
    double[][] x = rows(points);
    long[] cluster = found.predict(points);
    double[][] sums = new double[7][5];
    int[] sizes = new int[7];
    for (int i = 0; i < x.length; i++) {
      assertThat(cluster[i]).isEqualTo(nearest(x[i], centres));
      sizes[(int) cluster[i]]++;
      for (int j = 0; j < 5; j++) {
        sums[(int) cluster[i]][j] += x[i][j];
      }
    }
    for (int c = 0; c < 7; c++) {
      assertThat(sizes[c]).isPositive();
      for (int j = 0; j < 5; j++) {
        assertThat(centres[c][j]).isCloseTo(sums[c][j] / sizes[c], within(1e-9));
      }
    }
    assertThat(KMeans.fit(points, 7, new RandomSource(3)).predict(points)).isEqualTo(cluster);
  }

  @Test
  void moreClustersThanDifferentPointsIsNoTrouble() {
    Tensor points = matrix(new double[][] {{1, 1}, {1, 1}, {1, 1}, {4, 4}});
    long[] cluster = KMeans.fit(points, 3, new RandomSource(1)).predict(points);
    assertThat(cluster[0]).isEqualTo(cluster[1]).isEqualTo(cluster[2]).isNotEqualTo(cluster[3]);
  }

  @Test
  void badInputIsRefused() {
    Tensor points = normal(4, 3);
    RandomSource random = new RandomSource(1);
    assertThatThrownBy(() -> KMeans.fit(points, 5, random))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("5 clusters of 4 points");
    assertThatThrownBy(() -> KMeans.fit(points, 0, random)).isInstanceOf(MoeException.class);
    assertThatThrownBy(() -> KMeans.fit(points.mul(Double.NaN), 2, random))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("NaN");
    assertThatThrownBy(() -> KMeans.of(points).predict(normal(2, 4)))
        .isInstanceOf(MoeException.class)
        .hasMessageContainingAll("width 4", "3");
  }
}
