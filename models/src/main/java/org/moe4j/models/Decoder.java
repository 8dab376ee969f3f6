package org.moe4j.models;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.moe4j.CorpusCounts;
import org.moe4j.Init;
import org.moe4j.MoeOutput;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * A decoder language model. Parameters are F32; the activations have the model's precision, to
 * which weights are cast where they are used. Norms compute in F32 inside, routers as their gating
 * says, logits and losses are F32.
 */
public final class Decoder implements AutoCloseable {
  private final DecoderConfig config;
  private final ParameterStore parameters;
  private final DType precision;
  private final Parameter embedding;
  private final Rope rope;
  private final List<DecoderBlock> blocks;
  private final Norm norm;
  private final Parameter head;
  private final @Nullable Parameter headBias;

  /** A model that computes in F32; its parameters are made in {@code store}, which it then owns. */
  public Decoder(DecoderConfig config, ParameterStore store) {
    this.config = config;
    this.parameters = store;
    this.precision = DType.F32;
    int d = config.hidden();
    Init init = Init.normal(config.initStd());
    this.embedding = store.create("embed.weight", Role.EMBEDDING, init, config.vocab(), d);
    AttentionConfig a = config.attention();
    this.rope = new Rope(a.rope(), a.ropeDim(), config.maxPositions(), store.device());
    List<DecoderBlock> made = new ArrayList<>();
    for (int i = 0; i < config.layers(); i++) {
      made.add(new DecoderBlock(store.under("layers." + i), config, i, rope));
    }
    this.blocks = Collections.unmodifiableList(made);
    this.norm = Norm.of(config.norm(), store, "norm", d, config.finalNormEps());
    this.head =
        config.tiedEmbeddings()
            ? embedding
            : store.create("head.weight", Role.EMBEDDING, init, config.vocab(), d);
    this.headBias =
        config.headBias()
            ? store.create("head.bias", Role.EMBEDDING, Init.zeros(), config.vocab())
            : null;
  }

  private Decoder(Decoder same, DType precision) {
    this.config = same.config;
    this.parameters = same.parameters;
    this.precision = precision;
    this.embedding = same.embedding;
    this.rope = same.rope;
    this.blocks = same.blocks;
    this.norm = same.norm;
    this.head = same.head;
    this.headBias = same.headBias;
  }

  /** The same model, with the same parameters, whose activations are of type {@code precision}. */
  public Decoder withPrecision(DType precision) {
    if (precision == DType.F8_E4M3 || !precision.isFloating()) {
      throw new MoeException("precision " + precision + ": use bf16, f16, f32 or f64");
    }
    return new Decoder(this, precision);
  }

  /**
   * The forward pass over whole sequences.
   *
   * @param ids [B,S] I64
   * @param context of the same B and S; ids are added to it
   * @throws MoeException if the sequences are longer than the model's positions
   */
  public DecoderOutput forward(Tensor ids, TokenContext context) {
    return forward(ids, context, state -> {});
  }

  /**
   * The same, showing the residual stream on its way.
   *
   * @param onState told of the stream [B,S,d] before the first block and behind each one
   */
  public DecoderOutput forward(Tensor ids, TokenContext context, Consumer<Tensor> onState) {
    check(ids, 0);
    TokenContext known = context.withIds(ids);
    Span span = Span.of(context, 0, new int[0]);
    Map<Integer, MoeOutput> moe = new LinkedHashMap<>();
    Tensor x = embed(ids);
    onState.accept(x);
    for (int i = 0; i < blocks.size(); i++) {
      DecoderBlock.Result r = blocks.get(i).apply(x, known, span, null);
      int layer = i;
      r.moe().ifPresent(out -> moe.put(layer, out));
      x = r.output();
      onState.accept(x);
    }
    return new DecoderOutput(
        norm.apply(x), Collections.unmodifiableMap(moe), balance(moe, ids.device()));
  }

  private static Tensor balance(Map<Integer, MoeOutput> moe, Device device) {
    return moe.values().stream()
        .map(MoeOutput::balance)
        .reduce(Tensor::add)
        .orElseGet(() -> Tensor.full(0, DType.F32, device));
  }

  /** Logits [..., V] in F32 from hidden states [..., d] as {@link #forward} gives them. */
  public Tensor logits(Tensor hidden) {
    Tensor logits = LmLoss.logits(scaled(hidden), head.tensor());
    return headBias == null ? logits : logits.add(headBias.tensor().to(logits.dtype()));
  }

  /** Hidden states that the output projection turns into logits of the right size. */
  private Tensor scaled(Tensor hidden) {
    double factor = config.multipliers().logits();
    return factor == 1 ? hidden : hidden.mul(factor);
  }

  /**
   * The loss of predicting {@code targets}, which the caller has shifted: {@code targets[b,s]} is
   * the token that follows {@code ids[b,s]}, or {@link LmLoss#IGNORED}.
   *
   * @param ids [B,S] I64
   * @param targets [B,S] I64
   */
  public DecoderLoss loss(Tensor ids, Tensor targets, TokenContext context) {
    DecoderOutput out = forward(ids, context);
    Tensor flat = out.hidden().view(context.tokens(), config.hidden());
    Tensor wanted = targets.reshape(context.tokens());
    if (!context.carried().awaitsReward()) {
      Tensor ce =
          headBias == null
              ? LmLoss.crossEntropy(scaled(flat), head.tensor(), wanted)
              : Ops.crossEntropy(logits(flat), wanted);
      return new DecoderLoss(ce.add(out.balance()), ce, out);
    }
    LmLoss.Scored scored = LmLoss.scored(scaled(flat), head.tensor(), wanted);
    Tensor learned = context.carried().rewarded(scored.reward());
    return new DecoderLoss(scored.mean().add(out.balance()).add(learned), scored.mean(), out);
  }

  /**
   * The next step of generation: {@code ids [B,S]} follow the tokens in {@code cache}, which then
   * holds them too. Nothing else is known of the texts.
   *
   * @return logits [B,V] in F32 after the last token
   */
  public Tensor decode(Tensor ids, KvCache cache) {
    check(ids, cache.length());
    Tensor unknown = Tensor.full(-1, DType.I64, ids.device(), ids.shape());
    return decode(ids, cache, TokenContext.decode(ids.size(0), ids.size(1)).withDomains(unknown));
  }

  /**
   * The same with what is known of the new tokens.
   *
   * @param context of the same B and S, in decoding; ids and the ids before them are added to it
   */
  public Tensor decode(Tensor ids, KvCache cache, TokenContext context) {
    Tensor x = read(ids, cache, context);
    return logits(norm.apply(x.select(1, x.size(1) - 1)));
  }

  /** All of {@code ids [B,S]} behind the cache's tokens, to [B,S,d] before the last norm. */
  Tensor read(Tensor ids, KvCache cache, TokenContext context) {
    check(ids, cache.length());
    TokenContext known = context.withIds(ids).withLeft(cache.ids());
    Span span = Span.of(known, cache.length(), cache.pad());
    Tensor x = embed(ids);
    for (DecoderBlock block : blocks) {
      x = block.apply(x, known, span, cache).output();
    }
    cache.advance(ids, span);
    return x;
  }

  /**
   * Begins to read {@code batch} sequences, up to {@code capacity} tokens of each: with a cache,
   * and for a model of domain experts (S14) as the mixture over domains.
   */
  public Reading reading(int batch, int capacity) {
    if (DomainMixture.serves(this)) {
      return new DomainMixture(this).reading(batch, capacity);
    }
    KvCache cache = newCache(batch, capacity);
    return new Reading() {
      @Override
      public Tensor next(Tensor ids) {
        return decode(ids, cache);
      }

      @Override
      public void close() {
        cache.close();
      }
    };
  }

  /** Whether the model can generate: no router of it looks at later tokens. */
  public boolean decodes() {
    return config.feedForward().stream()
        .flatMap(f -> f.sparse().stream())
        .allMatch(moe -> moe.routerEntry().causality().decodes());
  }

  /**
   * Shows the training text's counts to all routers, once, before the first step of a new model:
   * some fix their tables by them (S13).
   */
  public void prepare(CorpusCounts corpus) {
    blocks.stream().flatMap(b -> b.moe().stream()).forEach(m -> m.router().prepare(corpus));
  }

  /** An empty cache for {@link #decode}, in this model's precision. */
  public KvCache newCache(int batch, int capacity) {
    return new KvCache(config, batch, capacity, precision, parameters.device());
  }

  private Tensor embed(Tensor ids) {
    Tensor x = Ops.embedding(embedding.tensor(), ids).to(precision);
    double factor = config.multipliers().embedding();
    return factor == 1 ? x : x.mul(factor);
  }

  private void check(Tensor ids, int before) {
    if (ids.dim() != 2 || ids.dtype() != DType.I64) {
      throw new MoeException("token ids are " + ids + "; give I64[sequences, length]");
    }
    if (before + ids.size(1) > config.maxPositions()) {
      throw new MoeException(
          "a sequence of "
              + (before + ids.size(1))
              + " tokens: the model has max_positions "
              + config.maxPositions());
    }
  }

  /** The shape of the model. */
  public DecoderConfig config() {
    return config;
  }

  /** The type of the activations. */
  public DType precision() {
    return precision;
  }

  /** All parameters. */
  public ParameterStore parameters() {
    return parameters;
  }

  /** The token embedding [V,d]. */
  public Parameter embedding() {
    return embedding;
  }

  /** The blocks, first to last. */
  public List<DecoderBlock> blocks() {
    return blocks;
  }

  /** The norm before the output projection. */
  public Norm norm() {
    return norm;
  }

  /** The output projection [V,d]; the embedding itself if they are tied. */
  public Parameter head() {
    return head;
  }

  /** The bias of the logits [V], if there is one. */
  public Optional<Parameter> headBias() {
    return Optional.ofNullable(headBias);
  }

  /** Frees the parameters; models that {@link #withPrecision} made end with this one. */
  @Override
  public void close() {
    rope.close();
    parameters.close();
  }
}
