package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.BalanceRegistry;
import org.moe4j.ExpertForm;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** The layer of the reader's edition gives what the library's gives, forward and backward. */
class OneFileMoeTest {
  private static final Path SOURCE = Path.of("..", "examples", "OneFileMoe.java");
  private static final int TOKENS = 40;
  private static final int WIDTH = 6;
  private static final int HIDDEN = 5;
  private static final int EXPERTS = 4;
  private static final double BALANCE = 0.3;

  @TempDir static Path classes;

  @BeforeAll
  static void compile() {
    int status =
        ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-d", classes.toString(), SOURCE.toString());
    assertThat(status).isZero();
  }

  @Test
  void isOneFileOfLessThanFiveHundredLinesWithoutDependencies() throws Exception {
    assertThat(Files.readAllLines(SOURCE))
        .hasSizeLessThan(500)
        .filteredOn(line -> line.startsWith("import "))
        .allMatch(line -> line.startsWith("import java."));
  }

  @Test
  void topOneAndTopTwoEqualTheLibrary() throws Exception {
    try (URLClassLoader loader =
        new URLClassLoader(new URL[] {classes.toUri().toURL()}, getClass().getClassLoader())) {
      Class<?> type = Class.forName("OneFileMoe$MoeLayer", true, loader);
      equalTheLibrary(type, 1);
      equalTheLibrary(type, 2);
    }
  }

  private static void equalTheLibrary(Class<?> type, int choices) throws Exception {
    Constructor<?> make = type.getDeclaredConstructors()[0];
    make.setAccessible(true);
    Object plain = make.newInstance(WIDTH, HIDDEN, EXPERTS, choices, BALANCE, 7L);
    double[][] x = random(1);
    double[][] dy = random(2);
    double[][] y = (double[][]) call(plain, "forward", (Object) x);
    double balance = (double) call(plain, "balance");
    double[][] dx = (double[][]) call(plain, "backward", (Object) dy);

    MoeConfig config =
        MoeConfig.builder(WIDTH, HIDDEN, EXPERTS, choices)
            .router("softmax-top-k")
            .form(ExpertForm.RELU)
            .balance(BalanceRegistry.named("switch"), BALANCE)
            .build();
    try (ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU, DType.F64);
        Scope scope = Scope.open()) {
      MoeLayer layer = new MoeLayer(config, store);
      fill(store, "gate.weight", weights(plain, "router", "value"));
      fill(store, "w_in", weights(plain, "up", "value"));
      fill(store, "w_out", weights(plain, "down", "value"));
      Tensor input = Tensor.of(flat(x), 1, TOKENS, WIDTH).requiresGrad(true);
      MoeOutput out = layer.forward(input, TokenContext.train(1, TOKENS, new RandomSource(1)));
      out.output().mul(Tensor.of(flat(dy), 1, TOKENS, WIDTH)).sum().add(out.balance()).backward();
      assertThat(flat(y)).containsExactly(out.output().toDoubles(), within(1e-12));
      assertThat(balance).isCloseTo(out.balance().item(), within(1e-12));
      assertThat(flat(dx)).containsExactly(gradient(input), within(1e-12));
      assertThat(weights(plain, "router", "gradient"))
          .containsExactly(gradient(named(store, "gate.weight")), within(1e-12));
      assertThat(weights(plain, "up", "gradient"))
          .containsExactly(gradient(named(store, "w_in")), within(1e-12));
      assertThat(weights(plain, "down", "gradient"))
          .containsExactly(gradient(named(store, "w_out")), within(1e-12));
    }
  }

  private static double[] gradient(Tensor tensor) {
    return tensor.grad().orElseThrow().toDoubles();
  }

  private static Tensor named(ParameterStore store, String end) {
    return store.all().stream()
        .filter(p -> p.name().endsWith(end))
        .findFirst()
        .orElseThrow()
        .tensor();
  }

  private static void fill(ParameterStore store, String end, double[] values) {
    Tensor to = named(store, end);
    try (NoGrad off = NoGrad.open()) {
      to.copyInPlace(Tensor.of(values, to.shape()));
    }
  }

  /** All numbers of a field that is one Weights or an array of them, one expert behind another. */
  private static double[] weights(Object layer, String field, String part) throws Exception {
    Object all = field(layer, field);
    Object[] each = all instanceof Object[] array ? array : new Object[] {all};
    double[] joined = new double[0];
    for (Object one : each) {
      double[] values = (double[]) field(one, part);
      double[] longer = Arrays.copyOf(joined, joined.length + values.length);
      System.arraycopy(values, 0, longer, joined.length, values.length);
      joined = longer;
    }
    return joined;
  }

  private static Object field(Object of, String name) throws Exception {
    Field field = of.getClass().getDeclaredField(name);
    field.setAccessible(true);
    return field.get(of);
  }

  private static Object call(Object on, String name, Object... args) throws Exception {
    Method method =
        Stream.of(on.getClass().getDeclaredMethods())
            .filter(m -> m.getName().equals(name))
            .findFirst()
            .orElseThrow();
    method.setAccessible(true);
    return method.invoke(on, args);
  }

  private static double[][] random(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[][] values = new double[TOKENS][WIDTH];
    for (double[] row : values) {
      Arrays.setAll(row, i -> random.nextGaussian());
    }
    return values;
  }

  private static double[] flat(double[][] rows) {
    return Stream.of(rows).flatMapToDouble(Arrays::stream).toArray();
  }
}
