package org.moe4j.bench;

import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.moe4j.DroplessDispatcher;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.ParameterStore;
import org.moe4j.RouterRegistry;
import org.moe4j.Routing;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What routing costs: the router, the sort, the gathering of rows and the weighted sum of rows,
 * without the experts, beside the whole layer; forward alone, and forward with backward. T = 4,096
 * tokens, d = 512, E = 64, k = 2 (hash: 1), expert width 1,024, SwiGLU.
 */
@State(org.openjdk.jmh.annotations.Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 4, time = 3)
@Fork(1)
public class RoutingCost {
  private static final int T = 4096;
  private static final int D = 512;

  /** A name of the registry. */
  @Param({"softmax-top-k", "sigmoid-top-k", "deepseek-v2", "hash", "loss-free"})
  public String router = "softmax-top-k";

  /** The type of the activations. */
  @Param({"F32", "BF16"})
  public String type = "F32";

  private final DroplessDispatcher dispatcher = new DroplessDispatcher();
  private final ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU);
  private MoeLayer layer = made("softmax-top-k", new ParameterStore(2));
  private Tensor x = Tensor.zeros(DType.F32, Device.CPU);
  private Tensor ids = x;

  private static MoeLayer made(String router, ParameterStore store) {
    Map<String, ?> options =
        switch (router) {
          case "deepseek-v2" -> Map.of("groups", 8, "kept-groups", 3, "device-capacity", 0);
          case "hash" -> Map.of("vocab", 4096);
          default -> Map.of();
        };
    return new MoeLayer(
        MoeConfig.builder(D, 1024, 64, RouterRegistry.named(router).choices().orElse(2))
            .router(router, options)
            .build(),
        store);
  }

  /** Makes the layer and its input. */
  @Setup(Level.Trial)
  public void make() {
    Ops.threads(2);
    NativeMemory.reuseFreedBlocks(1L << 30);
    RandomSource random = new RandomSource(3);
    layer = made(router, store);
    x = random.normal(T, D).to(DType.valueOf(type)).keep();
    long[] tokens = new long[T];
    for (int t = 0; t < T; t++) {
      tokens[t] = Math.floorMod(t * 7919L, 4096);
    }
    ids = Tensor.of(tokens, T).keep();
  }

  /** Frees both. */
  @TearDown(Level.Trial)
  public void free() {
    x.close();
    ids.close();
    store.close();
  }

  private TokenContext context() {
    return TokenContext.train(8, T / 8, new RandomSource(4)).withIds(ids);
  }

  private Tensor routed(Tensor input, TokenContext context) {
    Routing routing = layer.router().route(input, context);
    DroplessDispatcher.Sorted state = dispatcher.dispatch(input, routing);
    return dispatcher.combine(state.input().rows(), state);
  }

  /** Router, sort, gather, weighted sum: forward. */
  @Benchmark
  public double routingForward() {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      return routed(x, context()).numel();
    }
  }

  /** The whole layer: forward. */
  @Benchmark
  public double layerForward() {
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      return layer.forward(x, context()).output().numel();
    }
  }

  /** Router, sort, gather, weighted sum: forward and backward. */
  @Benchmark
  public double routingStep() {
    try (Scope scope = Scope.open()) {
      Tensor input = x.detach().requiresGrad(true);
      Tensor y = routed(input, context());
      y.sum().backward();
      return clear();
    }
  }

  /** The whole layer: forward and backward. */
  @Benchmark
  public double layerStep() {
    try (Scope scope = Scope.open()) {
      Tensor input = x.detach().requiresGrad(true);
      Tensor y = layer.forward(input, context()).output();
      y.sum().backward();
      return clear();
    }
  }

  private double clear() {
    store.all().forEach(p -> p.tensor().clearGrad());
    return store.all().size();
  }
}
