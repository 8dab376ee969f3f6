package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.Init;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.SafetensorsWriter;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

class AdamWTest {
  private static final AdamW.Options OPTIONS = new AdamW.Options(0.9, 0.95, 1e-8, 0.1);

  private static ParameterStore store(DType dtype) {
    ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU, dtype);
    store.create("w", Role.NON_EXPERT, Init.normal(1), 3, 4);
    store.create("b", Role.NORM, Init.normal(1), 5);
    return store;
  }

  /** The gradient of step t: any numbers that differ. */
  private static double[] gradient(Parameter p, int t) {
    double[] g = new double[(int) p.tensor().numel()];
    for (int i = 0; i < g.length; i++) {
      g[i] = Math.sin(1 + i * 3.7 + t * 1.3) * (i % 3 + 0.1);
    }
    return g;
  }

  private static void setGradients(ParameterStore store, int t, double factor) {
    for (Parameter p : store.all()) {
      double[] g = gradient(p, t);
      for (int i = 0; i < g.length; i++) {
        g[i] *= factor;
      }
      p.tensor().setGrad(Tensor.of(g, p.tensor().shape()).to(p.tensor().dtype()));
    }
  }

  /** The algorithm of the paper as a loop over doubles. */
  private static double[] reference(double[] start, Parameter p, int steps, double decay) {
    double[] x = start.clone();
    double[] m = new double[x.length];
    double[] v = new double[x.length];
    for (int t = 1; t <= steps; t++) {
      double lr = 0.01 * t;
      double[] g = gradient(p, t);
      for (int i = 0; i < x.length; i++) {
        x[i] -= lr * decay * x[i];
        m[i] = 0.9 * m[i] + 0.1 * g[i];
        v[i] = 0.95 * v[i] + 0.05 * g[i] * g[i];
        double mean = m[i] / (1 - Math.pow(0.9, t));
        double square = v[i] / (1 - Math.pow(0.95, t));
        x[i] -= lr * mean / (Math.sqrt(square) + 1e-8);
      }
    }
    return x;
  }

  private static void compare(DType dtype, double tolerance) {
    try (Scope scope = Scope.open();
        ParameterStore store = store(dtype);
        AdamW adam = new AdamW(store.all(), OPTIONS)) {
      double[] w = store.named("w").tensor().toDoubles();
      double[] b = store.named("b").tensor().toDoubles();
      for (int t = 1; t <= 12; t++) {
        // Gradients four times too large and divided by four on the way.
        setGradients(store, t, 4);
        adam.update(0.01 * t, 4);
      }
      assertThat(store.named("w").tensor().toDoubles())
          .containsExactly(reference(w, store.named("w"), 12, 0.1), within(tolerance));
      assertThat(store.named("b").tensor().toDoubles())
          .as("not decayed")
          .containsExactly(reference(b, store.named("b"), 12, 0), within(tolerance));
    }
  }

  @Test
  void agreesWithTheAlgorithmInDoubles() {
    compare(DType.F64, 1e-12);
    compare(DType.F32, 2e-6);
  }

  @Test
  void frozenParametersStayByteForByteAndHaveNoState() {
    try (Scope scope = Scope.open();
        ParameterStore store = store(DType.F32);
        AdamW adam = new AdamW(store.all(), OPTIONS)) {
      setGradients(store, 1, 1);
      store.named("w").freeze();
      float[] before = store.named("w").tensor().toFloats();
      adam.update(0.1, 1);
      assertThat(store.named("w").tensor().toFloats()).containsExactly(before);
      assertThat(adam.states()).isOne();
      assertThat(adam.items()).extracting(i -> i.stored().name()).noneMatch(n -> n.contains("w"));
    }
  }

  @Test
  void aSavedStateGoesOnBitForBit(@TempDir Path folder) {
    Path file = folder.resolve("optimizer.safetensors");
    try (Scope scope = Scope.open();
        ParameterStore whole = store(DType.F32);
        AdamW adam = new AdamW(whole.all(), OPTIONS);
        ParameterStore parted = store(DType.F32);
        AdamW first = new AdamW(parted.all(), OPTIONS);
        AdamW second = new AdamW(parted.all(), OPTIONS)) {
      for (int t = 1; t <= 6; t++) {
        setGradients(whole, t, 1);
        adam.update(0.01, 1);
        if (t == 4) {
          SafetensorsWriter.writeFile(file, first.items(), Map.of());
          try (Safetensors stored = Safetensors.open(file)) {
            second.load(stored);
          }
        }
        setGradients(parted, t, 1);
        (t < 4 ? first : second).update(0.01, 1);
      }
      for (Parameter p : whole.all()) {
        assertThat(parted.named(p.name()).tensor().toFloats())
            .containsExactly(p.tensor().toFloats());
      }
    }
  }

  @Test
  void aStateOfAnotherModelIsRefused(@TempDir Path folder) {
    Path file = folder.resolve("optimizer.safetensors");
    try (Scope scope = Scope.open();
        ParameterStore store = store(DType.F32);
        AdamW adam = new AdamW(store.all(), OPTIONS);
        ParameterStore other = new ParameterStore(1)) {
      other.create("w", Role.NON_EXPERT, Init.normal(1), 4, 4);
      setGradients(store, 1, 1);
      adam.update(0.1, 1);
      SafetensorsWriter.writeFile(file, adam.items(), Map.of());
      try (AdamW wrong = new AdamW(other.all(), OPTIONS);
          Safetensors stored = Safetensors.open(file)) {
        assertThatThrownBy(() -> wrong.load(stored))
            .isInstanceOf(MoeException.class)
            .hasMessageContaining(file.toString())
            .hasMessageNotContaining("\n");
      }
    }
  }

  /** A gradient of rows {@code index} of w, with the numbers of {@link #gradient} there. */
  private static void setRows(ParameterStore store, int t, long... index) {
    Parameter w = store.named("w");
    Tensor all = Tensor.of(gradient(w, t), w.tensor().shape()).to(w.tensor().dtype());
    Tensor rows = Tensor.of(index);
    w.tensor().setGrad(Tensor.ofRows(rows, all.indexSelect(0, rows), w.tensor().shape()));
  }

  @Test
  void rowsAreMovedAloneAndByTheSameRule() {
    try (Scope scope = Scope.open();
        ParameterStore store = store(DType.F64);
        AdamW adam = new AdamW(store.all(), OPTIONS)) {
      Parameter w = store.named("w");
      double[] start = w.tensor().toDoubles();
      for (int t = 1; t <= 12; t++) {
        // Row 1 is read in every third step alone.
        setRows(store, t, t % 3 == 0 ? new long[] {0, 1} : new long[] {0});
        adam.update(0.01 * t, 1);
        w.tensor().clearGrad();
      }
      double[] whole = reference(start, w, 12, 0.1);
      double[] moved = w.tensor().toDoubles();
      double[] rare = rare(start, w);
      for (int i = 0; i < 4; i++) {
        assertThat(moved[i]).as("always read").isCloseTo(whole[i], within(1e-12));
        assertThat(moved[4 + i]).as("read at times").isCloseTo(rare[i], within(1e-12));
        assertThat(moved[8 + i]).as("never read").isEqualTo(start[8 + i]);
      }
    }
  }

  /** Row 1 when only every third of 12 steps has a gradient of it: the others do not exist. */
  private static double[] rare(double[] start, Parameter w) {
    double[] x = new double[4];
    double[] m = new double[4];
    double[] v = new double[4];
    System.arraycopy(start, 4, x, 0, 4);
    for (int t = 3; t <= 12; t += 3) {
      for (int i = 0; i < 4; i++) {
        double g = gradient(w, t)[4 + i];
        x[i] -= 0.01 * t * 0.1 * x[i];
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.95 * v[i] + 0.05 * g * g;
        double square = v[i] / (1 - Math.pow(0.95, t));
        x[i] -= 0.01 * t * m[i] / (1 - Math.pow(0.9, t)) / (Math.sqrt(square) + 1e-8);
      }
    }
    return x;
  }

  @Test
  void theNormOfRowsIsThatOfTheWholeGradient() {
    try (Scope scope = Scope.open();
        ParameterStore store = store(DType.F32)) {
      setGradients(store, 1, 1);
      Parameter w = store.named("w");
      setRows(store, 1, 0, 2);
      Tensor rows = w.tensor().grad().orElseThrow();
      double norm = Gradients.norm(store.all());
      w.tensor().setGrad(rows.allRows());
      assertThat(norm).isPositive().isCloseTo(Gradients.norm(store.all()), within(1e-6));
    }
  }

  @Test
  void aSavedStateOfRowsGoesOnBitForBit(@TempDir Path folder) {
    Path file = folder.resolve("optimizer.safetensors");
    try (Scope scope = Scope.open();
        ParameterStore whole = store(DType.F32);
        AdamW adam = new AdamW(whole.all(), OPTIONS);
        ParameterStore parted = store(DType.F32);
        AdamW first = new AdamW(parted.all(), OPTIONS);
        AdamW second = new AdamW(parted.all(), OPTIONS)) {
      for (int t = 1; t <= 6; t++) {
        setRows(whole, t, t % 3);
        adam.update(0.01, 2);
        if (t == 4) {
          SafetensorsWriter.writeFile(file, first.items(), Map.of());
          try (Safetensors stored = Safetensors.open(file)) {
            second.load(stored);
          }
        }
        setRows(parted, t, t % 3);
        (t < 4 ? first : second).update(0.01, 2);
      }
      assertThat(parted.named("w").tensor().toFloats())
          .containsExactly(whole.named("w").tensor().toFloats());
    }
  }
}
