package org.moe4j.models;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.moe4j.CapacityRule;
import org.moe4j.Causality;
import org.moe4j.Phase;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/** Continues sequences of token ids, one token at a time, with a {@link Reading}. */
public final class Generator {
  private final Decoder model;
  private final Sampling sampling;
  private final Set<Integer> stopIds;

  /**
   * A generator for one model.
   *
   * @param stopIds tokens that end a continuation; they are not part of it
   */
  public Generator(Decoder model, Sampling sampling, Set<Integer> stopIds) {
    this.model = model;
    this.sampling = sampling;
    this.stopIds = Set.copyOf(stopIds);
  }

  /**
   * Continues {@code prompt} by up to {@code maxTokens} tokens, fewer if a stop token comes, if the
   * model's positions are used up or if {@code onToken} refuses to go on.
   *
   * @param onToken told of each new token at once; false ends the continuation after it
   * @return the new tokens
   * @throws MoeException if the prompt is empty, longer than the model's positions, or holds an id
   *     that is not in its vocabulary
   */
  public int[] generate(int[] prompt, int maxTokens, IntPredicate onToken) {
    int limit = limit(prompt, maxTokens);
    try (NoGrad off = NoGrad.open();
        Reading reading = model.reading(1, capacity(prompt, limit))) {
      return generate(reading::next, prompt, limit, onToken);
    }
  }

  /**
   * The same, reading only what {@code kept} does not hold already. The tokens are the same; a
   * mixture over domains (S14) reads everything anew.
   */
  public int[] generate(int[] prompt, int maxTokens, PrefixCache kept, IntPredicate onToken) {
    if (DomainMixture.serves(model)) {
      return generate(prompt, maxTokens, onToken);
    }
    int limit = limit(prompt, maxTokens);
    try (NoGrad off = NoGrad.open()) {
      int known = kept.begin(prompt, capacity(prompt, limit));
      int[] unread = Arrays.copyOfRange(prompt, known, prompt.length);
      return generate(kept::next, unread, limit, onToken);
    }
  }

  /**
   * Continues several prompts, each by the tokens that it gets alone. They are read side by side,
   * padded at the left, if that cannot change them: where the router of a layer looks at earlier
   * tokens or capacity is limited, and where padding would use up the model's positions, one is
   * read after the other.
   *
   * @return the new tokens of each prompt
   * @throws MoeException as for one prompt, before anything is generated
   */
  public List<int[]> generate(List<int[]> prompts, int maxTokens) {
    int[] limits = prompts.stream().mapToInt(p -> limit(p, maxTokens)).toArray();
    int longest = prompts.stream().mapToInt(p -> p.length).max().orElse(0);
    int most = Arrays.stream(limits).max().orElse(0);
    int columns = longest + Math.max(most - 1, 0);
    if (prompts.size() < 2 || columns > model.config().maxPositions() || !sideBySide()) {
      return prompts.stream().map(p -> generate(p, maxTokens, token -> true)).toList();
    }
    try (NoGrad off = NoGrad.open();
        KvCache cache = model.newCache(prompts.size(), columns)) {
      return generate(prompts, limits, longest, cache);
    }
  }

  /** Whether sequences that are read together do not change each other. */
  private boolean sideBySide() {
    return !DomainMixture.serves(model)
        && model.config().feedForward().stream()
            .flatMap(f -> f.sparse().stream())
            .allMatch(
                moe ->
                    moe.causality() != Causality.PAST
                        && moe.capacity().rule(Phase.DECODE) instanceof CapacityRule.Unlimited);
  }

  private List<int[]> generate(List<int[]> prompts, int[] limits, int longest, KvCache cache) {
    int rows = prompts.size();
    List<TokenSampler> samplers = prompts.stream().map(p -> new TokenSampler(sampling)).toList();
    List<IntStream.Builder> made = prompts.stream().map(p -> IntStream.builder()).toList();
    int[] left = limits.clone();
    long[] next = new long[rows * longest];
    byte[] real = new byte[next.length];
    for (int b = 0; b < rows; b++) {
      int[] prompt = prompts.get(b);
      int start = (b + 1) * longest - prompt.length;
      for (int i = 0; i < prompt.length; i++) {
        next[start + i] = prompt[i];
        real[start + i] = 1;
      }
    }
    while (Arrays.stream(left).anyMatch(n -> n > 0)) {
      float[] logits = step(next, real, rows, cache);
      int vocab = logits.length / rows;
      next = new long[rows];
      real = new byte[rows];
      for (int b = 0; b < rows; b++) {
        if (left[b] == 0) {
          continue;
        }
        int token =
            samplers.get(b).choose(Arrays.copyOfRange(logits, b * vocab, (b + 1) * vocab));
        if (stopIds.contains(token)) {
          left[b] = 0;
          continue;
        }
        made.get(b).add(token);
        left[b]--;
        next[b] = token;
        real[b] = 1;
      }
    }
    return made.stream().map(b -> b.build().toArray()).toList();
  }

  /** Logits [rows * V] behind the tokens of each row; what has ended goes on as padding. */
  private float[] step(long[] ids, byte[] real, int rows, KvCache cache) {
    try (Scope scope = Scope.open()) {
      Device device = model.parameters().device();
      long count = ids.length / rows;
      Tensor input = Tensor.of(ids, rows, count).to(device);
      Tensor unknown = Tensor.full(-1, DType.I64, device, input.shape());
      TokenContext context =
          TokenContext.decode(rows, count)
              .withDomains(unknown)
              .withPadding(Tensor.of(real, real.length).to(DType.BOOL).to(device));
      return model.decode(input, cache, context).toFloats();
    }
  }

  private int limit(int[] prompt, int maxTokens) {
    check(prompt);
    int room = model.config().maxPositions() - prompt.length + 1;
    return Math.min(Math.max(maxTokens, 0), room);
  }

  /** The last token made is not read. */
  private static int capacity(int[] prompt, int limit) {
    return prompt.length + Math.max(limit - 1, 0);
  }

  private int[] generate(
      UnaryOperator<Tensor> reading, int[] unread, int limit, IntPredicate onToken) {
    TokenSampler sampler = new TokenSampler(sampling);
    int[] made = new int[limit];
    int count = 0;
    int[] next = unread;
    while (count < limit) {
      int token = sampler.choose(step(next, reading));
      if (stopIds.contains(token)) {
        break;
      }
      made[count++] = token;
      if (!onToken.test(token)) {
        break;
      }
      next = new int[] {token};
    }
    return Arrays.copyOf(made, count);
  }

  private float[] step(int[] ids, UnaryOperator<Tensor> reading) {
    try (Scope scope = Scope.open()) {
      long[] wide = IntStream.of(ids).asLongStream().toArray();
      Tensor input = Tensor.of(wide, 1, wide.length).to(model.parameters().device());
      return reading.apply(input).toFloats();
    }
  }

  private void check(int[] prompt) {
    DecoderConfig config = model.config();
    if (prompt.length == 0) {
      throw new MoeException("the prompt has no tokens; give at least one");
    }
    if (prompt.length > config.maxPositions()) {
      throw new MoeException(
          "the prompt has "
              + prompt.length
              + " tokens, the model takes "
              + config.maxPositions()
              + "; shorten it");
    }
    for (int id : prompt) {
      if (id < 0 || id >= config.vocab()) {
        throw new MoeException(
            "token id "
                + id
                + " is not in the vocabulary of "
                + config.vocab()
                + "; is this the model's tokenizer?");
      }
    }
  }
}
