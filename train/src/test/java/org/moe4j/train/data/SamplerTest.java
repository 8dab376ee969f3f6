package org.moe4j.train.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.moe4j.tensor.MoeException;

class SamplerTest {
  private final BpeTokenizer tokenizer = Fixtures.tokenizer();

  /** Token i is i: a position in the stream can be read off the token. */
  private TokenStream counting(int size) {
    TokenArray tokens = TokenArray.of(1 << 20, size);
    IntStream.range(0, size).forEach(tokens::add);
    return new TokenStream(tokens, tokenizer, new int[] {1, size / 2, size}, new int[] {7, 8});
  }

  @Test
  void anEpochHasEveryTargetOnceButForTheEnds() {
    int length = 8;
    for (int size : new int[] {9, 10, 16, 17, 100, 1003}) {
      Sampler sampler = new Sampler(counting(size), 1, length, SamplerState.start(3));
      for (int epoch = 0; epoch < 4; epoch++) {
        Set<Long> targets = new HashSet<>();
        int sequences = sampler.sequencesPerEpoch();
        for (int i = 0; i < sequences; i++) {
          Batch batch = sampler.next();
          for (int t = 0; t < length; t++) {
            assertThat(batch.targets()[t]).isEqualTo(batch.inputs()[t] + 1);
            assertThat(targets.add(batch.targets()[t])).isTrue();
          }
        }
        assertThat(targets).hasSize(sequences * length);
        assertThat(targets.size()).isBetween(size - 1 - 2 * (length - 1), size - 1);
        assertThat(sampler.state()).isEqualTo(new SamplerState(3, epoch, sequences));
        sampler = new Sampler(counting(size), 1, length, new SamplerState(3, epoch + 1, 0));
      }
    }
  }

  @Test
  void epochsAndSeedsDiffer() {
    assertThat(firstInputs(3, 0)).isEqualTo(firstInputs(3, 0));
    assertThat(firstInputs(3, 0)).isNotEqualTo(firstInputs(3, 1)).isNotEqualTo(firstInputs(4, 0));
  }

  private List<Long> firstInputs(long seed, int epoch) {
    Sampler sampler = new Sampler(counting(500), 20, 4, new SamplerState(seed, epoch, 0));
    return Arrays.stream(sampler.next().inputs()).boxed().toList();
  }

  @Test
  void resumesWithExactlyTheNextBatch() {
    int batches = 60;
    Sampler whole = new Sampler(counting(203), 3, 5, SamplerState.start(12));
    List<SamplerState> states = new ArrayList<>();
    List<Batch> expected = new ArrayList<>();
    for (int i = 0; i < batches; i++) {
      states.add(whole.state());
      expected.add(whole.next());
    }
    assertThat(whole.state().epoch()).isGreaterThan(2);
    for (int from = 0; from < batches; from++) {
      Sampler resumed = new Sampler(counting(203), 3, 5, states.get(from));
      for (int i = from; i < batches; i++) {
        Batch batch = resumed.next();
        assertThat(batch.inputs()).isEqualTo(expected.get(i).inputs());
        assertThat(batch.targets()).isEqualTo(expected.get(i).targets());
        assertThat(batch.domains()).isEqualTo(expected.get(i).domains());
      }
    }
  }

  @Test
  void domainsAreThoseOfTheInputs() {
    TokenStream stream = counting(100);
    Sampler sampler = new Sampler(stream, 4, 10, SamplerState.start(1));
    for (int i = 0; i < 10; i++) {
      Batch batch = sampler.next();
      for (int t = 0; t < batch.inputs().length; t++) {
        int token = (int) batch.inputs()[t];
        int expected = token == 0 || token == 49 || token == 99 ? -1 : token < 50 ? 7 : 8;
        assertThat(batch.domains()[t]).isEqualTo(expected).isEqualTo(stream.domain(token));
      }
    }
  }

  @Test
  void impossibleSamplersAreRefused() {
    assertThatThrownBy(() -> new Sampler(counting(8), 1, 8, SamplerState.start(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("has 8 tokens, too few for one sequence of 8");
    assertThatThrownBy(() -> new Sampler(counting(9), 0, 8, SamplerState.start(1)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("batch of 0 sequences");
    assertThatThrownBy(() -> new Sampler(counting(90), 1, 8, new SamplerState(1, 0, 12)))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("position 12, but an epoch has");
    assertThatThrownBy(() -> new SamplerState(1, -1, 0)).isInstanceOf(MoeException.class);
  }
}
