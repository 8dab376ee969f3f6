package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/**
 * The validity table of S22 over the whole registry: what is declared valid runs forward and
 * backward with finite gradients, what is not is refused with both names.
 */
class ValidityMatrixTest extends InScope {
  static List<String> names() {
    return RouterContractTest.names();
  }

  private static MoeConfig.Builder config(String router) {
    return RouterContractTest.config(router, RouterContractTest.shape(router).experts(), 2);
  }

  private static TokenContext context() {
    return RouterContractTest.train(2, 16);
  }

  /** Builds the layer, runs it, and returns what its plan carried. */
  private Routing runs(MoeConfig config) {
    ParameterStore store = new ParameterStore(new RandomSource(4), Device.CPU, DType.F64);
    try (store) {
      MoeLayer layer = new MoeLayer(config, store);
      Tensor x = normal(32, config.width()).requiresGrad(true);
      MoeOutput out = layer.forward(x, context());
      assertThat(out.output().allFinite()).as("output of %s", config).isTrue();
      out.output().square().sum().add(out.balance().to(DType.F64)).backward();
      assertThat(x.grad().orElseThrow().allFinite()).as("gradient of x, %s", config).isTrue();
      for (Parameter p : store.all()) {
        p.tensor()
            .grad()
            .ifPresent(g -> assertThat(g.allFinite()).as("%s in %s", p, config).isTrue());
      }
      return out.routing();
    }
  }

  private static Capacity capacity(double factor, DropOrder order) {
    return new Capacity(
        new CapacityRule.Factor(factor, true, CapacityRule.Rounding.CEIL),
        CapacityRule.UNLIMITED,
        Grouping.BATCH,
        order,
        false);
  }

  @ParameterizedTest
  @MethodSource("names")
  void whatIsValidHasFiniteGradientsWithEveryDispatcher(String name) {
    for (Dispatch how : Dispatch.values()) {
      runs(config(name).dispatch(how).build());
    }
    for (double factor : new double[] {0.3, 1.25}) {
      for (DropOrder order : DropOrder.values()) {
        for (Dispatch how : List.of(Dispatch.BUFFERS, Dispatch.ONE_HOT)) {
          MoeConfig limited = config(name).capacity(capacity(factor, order)).dispatch(how).build();
          try {
            Validity.check(limited, Validity.Use.ENCODER, false);
          } catch (MoeException e) {
            assertThat(e)
                .hasMessageContainingAll("\"" + name + "\"", "capacity factor", "exclude each");
            continue;
          }
          assertThat(RouterRegistry.named(name).form()).isEqualTo(RoutingForm.TOKEN_CHOICE);
          runs(limited);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyLossEitherRunsOrIsRefusedWithBothNames(String name) {
    for (BalanceRegistry.Entry loss : BalanceRegistry.entries()) {
      MoeConfig config = config(name).balance(loss.loss(), 0.1).build();
      try {
        Validity.check(config, Validity.Use.ENCODER, false);
      } catch (MoeException e) {
        assertThat(e)
            .hasMessageContainingAll(
                "\"" + name + "\"", "\"" + loss.loss().name() + "\"", "exclude each other");
        continue;
      }
      assertThat(config.inside().routerEntry().suits(loss.loss())).isTrue();
      runs(config);
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void theEntrySaysWhatEvidenceThereIs(String name) {
    RouterEntry entry = RouterRegistry.named(name);
    Evidence found = runs(config(name).build()).evidence();
    Set<Evidence.Kind> kinds = EnumSet.noneOf(Evidence.Kind.class);
    found.logits().ifPresent(t -> kinds.add(Evidence.Kind.LOGITS));
    found.probabilities().ifPresent(t -> kinds.add(Evidence.Kind.PROBABILITIES));
    found.membership().ifPresent(t -> kinds.add(Evidence.Kind.MEMBERSHIP));
    assertThat(kinds).isEqualTo(entry.evidence());
    for (String loss : entry.losses()) {
      assertThat(entry.suits(BalanceRegistry.named(loss))).as(loss).isTrue();
    }
  }

  @ParameterizedTest
  @MethodSource("names")
  void usesAreRefusedAsTheTableSays(String name) {
    boolean decodes = RouterRegistry.named(name).causality().decodes();
    MoeConfig plain = config(name).build();
    List<Validity.Use> refused = new ArrayList<>();
    for (Validity.Use use : Validity.Use.values()) {
      try {
        Validity.check(plain, use, false);
      } catch (MoeException e) {
        assertThat(e).hasMessageContaining(name);
        refused.add(use);
      }
    }
    assertThat(refused)
        .isEqualTo(
            decodes ? List.of() : List.of(Validity.Use.CAUSAL_TRAINING, Validity.Use.DECODING));
    if (RouterRegistry.named(name).form() == RoutingForm.TOKEN_CHOICE) {
      MoeConfig priority = config(name).capacity(capacity(1, DropOrder.PRIORITY)).build();
      assertThatThrownBy(() -> Validity.check(priority, Validity.Use.DECODING, true))
          .isInstanceOf(MoeException.class);
    }
  }
}
