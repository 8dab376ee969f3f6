package org.moe4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

class CapacityTest extends InScope {
  private static final Random JAVA = new Random(11);

  /** One choice of one token, for the reference that sorts explicit lists. */
  private record Wish(int token, int rank, int expert, double priority, boolean wanted) {}

  /** Which choices are kept, as [T][k], from first principles: sort, count, cut. */
  private static boolean[][] reference(
      int[][] choices,
      boolean[][] wanted,
      double[] priority,
      int experts,
      int group,
      long slots,
      DropOrder order,
      boolean rejectedTakeSlots) {
    int k = choices[0].length;
    boolean[][] kept = new boolean[choices.length][k];
    for (int start = 0; start < choices.length; start += group) {
      List<Wish> wishes = new ArrayList<>();
      for (int t = start; t < start + group; t++) {
        for (int j = 0; j < k; j++) {
          if (choices[t][j] >= 0) {
            wishes.add(new Wish(t, j, choices[t][j], priority[t], wanted[t][j]));
          }
        }
      }
      Comparator<Wish> byToken = Comparator.comparingInt(Wish::token);
      Comparator<Wish> byRank = Comparator.comparingInt(Wish::rank);
      wishes.sort(
          switch (order) {
            case TOKEN -> byToken.thenComparing(byRank);
            case CHOICE -> byRank.thenComparing(byToken);
            case PRIORITY, PRIORITY_SUM ->
                byRank
                    .thenComparing(Comparator.comparingDouble(Wish::priority).reversed())
                    .thenComparing(byToken);
          });
      for (int e = 0; e < experts; e++) {
        int expert = e;
        List<Wish> queue =
            wishes.stream()
                .filter(w -> w.expert() == expert && (w.wanted() || rejectedTakeSlots))
                .toList();
        for (int i = 0; i < Math.min(slots, queue.size()); i++) {
          kept[queue.get(i).token()][queue.get(i).rank()] = queue.get(i).wanted();
        }
      }
    }
    return kept;
  }

  private static TokenChoice random(int tokens, int experts, int k, boolean rejecting) {
    double[][] probabilities = new double[tokens][];
    long[] choices = new long[tokens * k];
    double[] selected = new double[tokens * k];
    byte[] wanted = new byte[tokens * k];
    for (int t = 0; t < tokens; t++) {
      double[] z = JAVA.doubles(experts, -3, 3).toArray();
      z[0] += 1;
      probabilities[t] = Loops.softmax(z);
      int[] top = Loops.top(z, k);
      for (int j = 0; j < k; j++) {
        choices[t * k + j] = top[j];
        selected[t * k + j] = probabilities[t][top[j]];
        wanted[t * k + j] = (byte) (rejecting && j > 0 && JAVA.nextBoolean() ? 0 : 1);
      }
    }
    return TokenChoice.of(
        experts,
        Tensor.of(choices, tokens, k),
        Tensor.of(wanted, tokens, k).to(DType.BOOL),
        Tensor.of(selected, tokens, k),
        Gating.SOFTMAX_TOP_K,
        Evidence.none());
  }

  @Test
  void equalsASequentialReferenceInEveryOrder() {
    for (int round = 0; round < 300; round++) {
      int groups = 1 + JAVA.nextInt(3);
      int size = List.of(1, 7, 16, 64).get(JAVA.nextInt(4));
      int experts = List.of(2, 4, 8).get(JAVA.nextInt(3));
      int k = 1 + JAVA.nextInt(2);
      int slots = 1 + JAVA.nextInt(size);
      DropOrder order = List.of(DropOrder.values()).get(round % 4);
      boolean burn = JAVA.nextBoolean();
      TokenChoice r = random(groups * size, experts, k, true);
      CapacityRule rule = new CapacityRule.Fixed(slots);
      Capacity capacity = new Capacity(rule, rule, Grouping.tokens(size), order, burn);
      TokenChoice dropped = capacity.apply(r, TokenContext.eval(groups, size));
      double[] priority =
          Arrays.stream(rows(r.selected()))
              .mapToDouble(
                  row ->
                      order == DropOrder.PRIORITY_SUM
                          ? Arrays.stream(row).sum()
                          : Arrays.stream(row).max().orElseThrow())
              .toArray();
      boolean[][] expected =
          reference(
              indices(r.choices()), flags(r.wanted()), priority, experts, size, slots, order, burn);
      assertThat(flags(dropped.kept())).as("round %d", round).isDeepEqualTo(expected);
      double[][] before = rows(r.weights());
      double[][] after = rows(dropped.weights());
      for (int t = 0; t < before.length; t++) {
        for (int j = 0; j < k; j++) {
          assertThat(after[t][j]).isEqualTo(expected[t][j] ? before[t][j] : 0);
        }
      }
    }
  }

  private static boolean[][] flags(Tensor mask) {
    double[][] rows = rows(mask.to(DType.F64));
    boolean[][] out = new boolean[rows.length][rows[0].length];
    for (int t = 0; t < rows.length; t++) {
      for (int j = 0; j < rows[0].length; j++) {
        out[t][j] = rows[t][j] != 0;
      }
    }
    return out;
  }

  @Test
  void withAllTokensOnOneExpertExactlyTheFirstOnesAreKept() {
    TokenChoice r =
        TokenChoice.of(
            2,
            Tensor.of(new long[] {0, 1, 0, 1, 0, 1, 0, 1, 0, 1}, 5, 2),
            Tensor.full(0.5, DType.F64, Device.CPU, 5, 2),
            Gating.SOFTMAX_TOP_K,
            Evidence.none());
    TokenChoice kept =
        Capacity.of(new CapacityRule.Fixed(3), Grouping.BATCH, DropOrder.CHOICE)
            .apply(r, TokenContext.eval(1, 5));
    assertThat(kept.experts().toLongs()).containsExactly(0, 1, 0, 1, 0, 1, -1, -1, -1, -1);
  }

  @Test
  void priorityKeepsTheMostConfidentFirstChoices() {
    for (int round = 0; round < 50; round++) {
      TokenChoice r = random(32, 4, 2, false);
      TokenChoice kept =
          Capacity.of(new CapacityRule.Fixed(5), Grouping.BATCH, DropOrder.PRIORITY)
              .apply(r, TokenContext.eval(1, 32));
      int[][] asked = indices(r.choices());
      int[][] served = indices(kept.experts());
      double[][] score = rows(r.selected());
      for (int e = 0; e < 4; e++) {
        double lowestKept = Double.POSITIVE_INFINITY;
        double highestDropped = 0;
        for (int t = 0; t < 32; t++) {
          if (asked[t][0] == e && served[t][0] == e) {
            lowestKept = Math.min(lowestKept, score[t][0]);
          } else if (asked[t][0] == e) {
            highestDropped = Math.max(highestDropped, score[t][0]);
          }
        }
        assertThat(lowestKept).isGreaterThanOrEqualTo(highestDropped);
      }
    }
  }

  @Test
  void paddingTakesNoSlot() {
    TokenChoice r =
        TokenChoice.of(
                2,
                Tensor.of(new long[] {0, 0, 0, 0}, 4, 1),
                Tensor.of(new double[] {.9, .8, .7, .6}, 4, 1),
                Gating.SOFTMAX_TOP_K,
                Evidence.none())
            .onlyReal(
                TokenContext.eval(1, 4)
                    .withPadding(Tensor.of(new byte[] {0, 1, 0, 1}).to(DType.BOOL)));
    TokenChoice kept =
        Capacity.of(new CapacityRule.Fixed(2), Grouping.BATCH, DropOrder.TOKEN)
            .apply(r, TokenContext.eval(1, 4));
    assertThat(kept.experts().toLongs()).containsExactly(-1, 0, -1, 0);
  }

  private static long train(Capacity c, long tokens, int experts, int k) {
    return c.train().slots(tokens, experts, k);
  }

  private static long eval(Capacity c, long tokens, int experts, int k) {
    return c.eval().slots(tokens, experts, k);
  }

  @Test
  void namedPoliciesGiveTheirPapersNumbers() {
    assertThat(train(Capacity.gshardPaper(Grouping.BATCH), 1024, 128, 2)).isEqualTo(16);
    assertThat(train(Capacity.lingvo(2, Grouping.BATCH), 64, 32, 2)).isEqualTo(4);
    assertThat(train(Capacity.lingvo(1, Grouping.BATCH), 8, 16, 2)).isEqualTo(4);
    assertThat(train(Capacity.lingvo(2, Grouping.BATCH), 100, 16, 2)).isEqualTo(12);
    // Mesh and Flaxformer at S CF / E = 2.5 and 3.5: before the minimum 2, 3 against 2, 4.
    assertThat(factorOf(CapacityRule.Rounding.FLOOR, 2.5)).isEqualTo(2);
    assertThat(factorOf(CapacityRule.Rounding.FLOOR, 3.5)).isEqualTo(3);
    assertThat(factorOf(CapacityRule.Rounding.HALF_EVEN, 2.5)).isEqualTo(2);
    assertThat(factorOf(CapacityRule.Rounding.HALF_EVEN, 3.5)).isEqualTo(4);
    Capacity mesh = Capacity.mesh(1.25, 2);
    assertThat(train(mesh, 1024, 128, 2)).isEqualTo(10);
    assertThat(eval(mesh, 1024, 128, 2)).isEqualTo(16);
    assertThat(train(mesh, 8, 8, 2)).isEqualTo(4);
    assertThat(train(mesh, 2, 1, 2)).isEqualTo(4);
    assertThat(train(Capacity.switchPaper(1.5, Grouping.BATCH), 10, 4, 1)).isEqualTo(3);
    Capacity flax = Capacity.flaxformer(1.25, 2, 2, Grouping.BATCH);
    assertThat(train(flax, 8192, 64, 1)).isEqualTo(160);
    assertThat(train(flax, 16, 64, 1)).isEqualTo(2);
    assertThat(train(Capacity.huggingFaceSwitch(64), 9999, 8, 1)).isEqualTo(64);
    Capacity vmoe = Capacity.vmoe(1.05, 4, Grouping.BATCH, DropOrder.PRIORITY);
    assertThat(train(vmoe, 49 * 8, 8, 2)).isEqualTo(104);
    assertThat(train(Capacity.vmoePaper(1.05, Grouping.BATCH, DropOrder.CHOICE), 392, 8, 2))
        .isEqualTo(103);
    Capacity fairseq = Capacity.fairseq(0.046875);
    assertThat(eval(fairseq, 1024, 512, 2)).isEqualTo(48);
    assertThat(train(fairseq, 1025, 512, 2)).isEqualTo(6); // 2 ceil(T/E), not ceil(2T/E) = 5
    assertThat(train(Capacity.megablocks(1), 10, 4, 2)).isEqualTo(5);
    Capacity fastMoe = Capacity.fastMoeGshard(1.2, 2.4);
    assertThat(train(fastMoe, 9, 4, 2)).isEqualTo(5); // 2 ceil(10.8) div 4
    assertThat(eval(fastMoe, 9, 4, 2)).isEqualTo(11);
    assertThat(train(fastMoe, 16, 64, 2)).isEqualTo(1); // the code's own number is 0
    assertThat(train(Capacity.fastMoeSwitch(1.2, 2.4), 9, 4, 1)).isEqualTo(3);
    assertThat(eval(Capacity.fastMoeSwitch(1.2, 2.4), 9, 4, 1)).isEqualTo(6);
    assertThat(train(Capacity.NONE, 10, 4, 2)).isEqualTo(10);
  }

  private static long factorOf(CapacityRule.Rounding rounding, double slots) {
    return new CapacityRule.Factor(slots, false, rounding).slots(8, 8, 2);
  }

  @Test
  void meshCutsTheFewestGroupsThatDivide() {
    Grouping g = Grouping.tokensAtMost(1024);
    assertThat(g.groups(TokenContext.eval(1, 1024))).isEqualTo(1);
    assertThat(g.groups(TokenContext.eval(1, 1025))).isEqualTo(5);
    assertThat(g.groupSize(TokenContext.eval(5, 1000))).isEqualTo(1000);
  }

  @Test
  void groupsDoNotSeeEachOther() {
    TokenChoice r = random(32, 4, 2, false);
    Capacity c = Capacity.of(new CapacityRule.Fixed(3), Grouping.SEQUENCE, DropOrder.CHOICE);
    long[] all = c.apply(r, TokenContext.eval(2, 16)).experts().toLongs();
    TokenChoice second =
        TokenChoice.of(
            4,
            r.choices().narrow(0, 16, 16).contiguous(),
            r.selected().narrow(0, 16, 16).contiguous(),
            r.gating(),
            r.evidence());
    long[] alone = c.apply(second, TokenContext.eval(1, 16)).experts().toLongs();
    assertThat(alone).containsExactly(Arrays.copyOfRange(all, 32, 64));
  }

  @Test
  void keptChoicesAreWhatFitsForEveryOrder() {
    for (DropOrder order : DropOrder.values()) {
      TokenChoice r = random(64, 8, 2, false);
      TokenContext context = TokenContext.eval(1, 64);
      RoutingStats stats =
          RoutingStats.of(
              Capacity.of(new CapacityRule.Fixed(9), Grouping.BATCH, order).apply(r, context),
              context);
      double[] demand = stats.asked();
      double[] load = stats.served();
      double kept = 0;
      for (int e = 0; e < 8; e++) {
        assertThat(load[e]).isEqualTo(Math.min(9, demand[e]));
        kept += load[e];
      }
      assertThat(stats.dropRate()).isCloseTo(1 - kept / 128, within(1e-12));
    }
  }

  @Test
  void impossibleCapacitiesAreRefusedInOneLine() {
    TokenChoice r = random(10, 4, 1, false);
    assertThatThrownBy(
            () -> Capacity.switchPaper(1, Grouping.tokens(4)).apply(r, TokenContext.eval(1, 10)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("10 tokens are not divisible into groups of 4");
    assertThatThrownBy(
            () -> Capacity.switchPaper(1, Grouping.tokens(2)).apply(r, TokenContext.eval(1, 10)))
        .hasMessageContaining("leaves no slot for 2 tokens and 4 experts");
    assertThatThrownBy(() -> Capacity.megablocks(0)).hasMessageContaining("factor of 0.0");
    assertThatThrownBy(() -> Capacity.fairseq(1.5)).hasMessageContaining("give 0 < f <= 1");
    assertThatThrownBy(() -> Capacity.named("gshart", 1, 1))
        .hasMessageContaining("did you mean \"gshard\"?");
    assertThat(Capacity.named("mesh", 1.25, 2)).isEqualTo(Capacity.mesh(1.25, 2));
    assertThatThrownBy(() -> Capacity.huggingFaceSwitch(0)).hasMessageContaining("at least 1");
  }
}
