package org.moe4j.models;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;
import org.moe4j.Experts;
import org.moe4j.Init;
import org.moe4j.MoeOutput;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A T5 encoder-decoder with sparse layers: Switch Transformers (S06), Switch-C (S07). The encoder
 * reads a text, padded on the right in batches; the decoder writes an answer, token by token, from
 * its own tokens and the encoder's output. Both have the same embedding.
 *
 * <p>As in transformers, an expert's capacity counts the tokens of a pass: one token at a time
 * never meets it. Padding takes no expert.
 */
public final class EncoderDecoder implements AutoCloseable {
  private final EncoderDecoderConfig config;
  private final ParameterStore parameters;
  private final DType precision;
  private final Parameter embedding;
  private final Stack encoder;
  private final Stack decoder;
  private final Parameter head;

  /** The blocks of one side with what they share. */
  private record Stack(RelativeBias bias, List<T5Block> blocks, RmsNorm norm) {}

  /** A model that computes in F32; its parameters are made in {@code store}, which it then owns. */
  public EncoderDecoder(EncoderDecoderConfig config, ParameterStore store) {
    this(config, store, null);
  }

  /**
   * A model whose routed experts the caller holds.
   *
   * @param experts the experts of a sparse layer, by its index among all blocks, the encoder's
   *     first
   */
  public static EncoderDecoder around(
      IntFunction<Experts> experts, EncoderDecoderConfig config, ParameterStore store) {
    return new EncoderDecoder(config, store, experts);
  }

  private EncoderDecoder(
      EncoderDecoderConfig config, ParameterStore store, @Nullable IntFunction<Experts> experts) {
    this.config = config;
    this.parameters = store;
    this.precision = DType.F32;
    int d = config.hidden();
    this.embedding =
        store.create("embed.weight", Role.EMBEDDING, Init.normal(1), config.vocab(), d);
    this.encoder = stack("encoder", config.encoder(), 0, experts);
    this.decoder = stack("decoder", config.decoder(), config.encoder().size(), experts);
    this.head =
        config.tied()
            ? embedding
            : store.create("head.weight", Role.EMBEDDING, Init.normal(1), config.vocab(), d);
  }

  private Stack stack(
      String name,
      List<FeedForwardConfig> feedForward,
      int first,
      @Nullable IntFunction<Experts> experts) {
    ParameterStore store = parameters.under(name);
    boolean decodes = first > 0;
    int d = config.hidden();
    RelativeBias bias =
        new RelativeBias(
            store, config.positions(), config.heads(), !decodes, 1 / Math.sqrt((double) d));
    List<T5Block> blocks = new ArrayList<>();
    for (int i = 0; i < feedForward.size(); i++) {
      ParameterStore own = store.under("layers." + i);
      blocks.add(new T5Block(own, config, feedForward.get(i), first + i, decodes, experts));
    }
    RmsNorm norm = new RmsNorm(store, "norm", d, config.normEps());
    return new Stack(bias, Collections.unmodifiableList(blocks), norm);
  }

  private EncoderDecoder(EncoderDecoder same, DType precision) {
    this.config = same.config;
    this.parameters = same.parameters;
    this.precision = precision;
    this.embedding = same.embedding;
    this.encoder = same.encoder;
    this.decoder = same.decoder;
    this.head = same.head;
  }

  /** The same model, with the same parameters, whose activations are of type {@code precision}. */
  public EncoderDecoder withPrecision(DType precision) {
    if (precision == DType.F8_E4M3 || !precision.isFloating()) {
      throw new MoeException("precision " + precision + ": use bf16, f16, f32 or f64");
    }
    return new EncoderDecoder(this, precision);
  }

  /** Reads texts without padding, {@code ids [B,S]} I64. */
  public Encoding encode(Tensor ids) {
    return encoded(ids, Optional.empty());
  }

  /**
   * Reads texts.
   *
   * @param ids [B,S] I64, padded on the right
   * @param real [B,S], not 0 where a token is none of the padding
   * @throws MoeException if a text has no token
   */
  public Encoding encode(Tensor ids, Tensor real) {
    check(ids);
    Tensor mask = real.eq(0).not();
    if (mask.dim() != 2 || mask.size(0) != ids.size(0) || mask.size(1) != ids.size(1)) {
      throw new MoeException("the mask of real tokens is " + real + ", the ids are " + ids);
    }
    long[] each = mask.to(DType.I64).sum(1, false).toLongs();
    boolean all = true;
    for (long n : each) {
      if (n == 0) {
        throw new MoeException("a text of the batch has no token; leave it out");
      }
      all &= n == ids.size(1);
    }
    return encoded(ids, all ? Optional.empty() : Optional.of(mask));
  }

  private Encoding encoded(Tensor ids, Optional<Tensor> real) {
    check(ids);
    long length = ids.size(1);
    TokenContext plain = TokenContext.eval(ids.size(0), length).withIds(ids);
    TokenContext context = real.map(plain::withPadding).orElse(plain);
    Tensor visible = encoder.bias.scores(0, length, length, precision);
    Tensor bias = unseen(real).map(visible::add).orElse(visible);
    Tensor x = embed(ids);
    List<Tensor> states = new ArrayList<>(List.of(x));
    Map<Integer, MoeOutput> moe = new LinkedHashMap<>();
    for (int i = 0; i < encoder.blocks.size(); i++) {
      T5Block.Result r = encoder.blocks.get(i).encode(x, bias, context);
      x = r.output();
      states.add(x);
      if (r.moe().isPresent()) {
        moe.put(i, r.moe().get());
      }
    }
    return new Encoding(encoder.norm.apply(x), real, states, Collections.unmodifiableMap(moe));
  }

  /** [B,1,1,S] of the model's precision: minus infinity where there is padding, else 0. */
  private Optional<Tensor> unseen(Optional<Tensor> real) {
    return real.map(
        mask ->
            Tensor.zeros(precision, mask.device(), mask.shape())
                .maskedFill(mask.not(), Double.NEGATIVE_INFINITY)
                .unsqueeze(1)
                .unsqueeze(1));
  }

  /** The forward pass over texts without padding, [B,S] I64, and answers, [B,R] I64. */
  public EncoderDecoderOutput forward(Tensor ids, Tensor answers) {
    return forward(encode(ids), answers);
  }

  /**
   * The decoder's pass over whole answers.
   *
   * @param answers [B,R] I64; the first token is {@link EncoderDecoderConfig#start}
   */
  public EncoderDecoderOutput forward(Encoding encoding, Tensor answers) {
    check(answers, encoding);
    long length = answers.size(1);
    TokenContext context = TokenContext.eval(answers.size(0), length).withIds(answers);
    Tensor bias = decoder.bias.scores(0, length, length, precision);
    Tensor mask = unseen(encoding.real()).orElse(null);
    Tensor x = embed(answers);
    List<Tensor> states = new ArrayList<>(List.of(x));
    Map<Integer, MoeOutput> moe = new LinkedHashMap<>();
    for (int i = 0; i < decoder.blocks.size(); i++) {
      T5Block block = decoder.blocks.get(i);
      T5Attention.KeysValues own = block.keysValues(x);
      T5Attention.KeysValues encoded = block.crossKeysValues(encoding.hidden());
      T5Block.Result r = block.decode(x, own, bias, encoded, mask, context);
      x = r.output();
      states.add(x);
      if (r.moe().isPresent()) {
        moe.put(encoder.blocks.size() + i, r.moe().get());
      }
    }
    Tensor hidden = decoder.norm.apply(x);
    return new EncoderDecoderOutput(encoding, hidden, states, Collections.unmodifiableMap(moe));
  }

  /**
   * Begins to write answers of up to {@code capacity} tokens to the texts, with a cache. It gives
   * the logits of the next token when it reads the ones before, the first of which is {@link
   * EncoderDecoderConfig#start}.
   */
  public Reading reading(Encoding encoding, int capacity) {
    EncoderDecoderCache cache =
        new EncoderDecoderCache(
            config, decoder.blocks, encoding.hidden(), unseen(encoding.real()), capacity);
    return new Reading() {
      @Override
      public Tensor next(Tensor ids) {
        check(ids, encoding);
        return decode(ids, cache);
      }

      @Override
      public void close() {
        cache.close();
      }
    };
  }

  /** The same without a cache: every token is computed from the whole answer anew, to compare. */
  public Reading readingUncached(Encoding encoding) {
    List<Tensor> read = new ArrayList<>();
    return new Reading() {
      @Override
      public Tensor next(Tensor ids) {
        read.add(ids.copy().keep());
        Tensor hidden = forward(encoding, Tensor.cat(read, 1)).hidden();
        return logits(hidden.select(1, hidden.size(1) - 1));
      }

      @Override
      public void close() {
        read.forEach(Tensor::close);
        read.clear();
      }
    };
  }

  private Tensor decode(Tensor ids, EncoderDecoderCache cache) {
    long added = ids.size(1);
    TokenContext context = TokenContext.decode(ids.size(0), added).withIds(ids);
    Tensor bias = decoder.bias.scores(cache.length(), added, cache.length() + added, precision);
    Tensor mask = cache.mask().orElse(null);
    Tensor x = embed(ids);
    for (int i = 0; i < decoder.blocks.size(); i++) {
      T5Block block = decoder.blocks.get(i);
      T5Attention.KeysValues own = cache.append(i, block.keysValues(x));
      x = block.decode(x, own, bias, cache.encoded(i), mask, context).output();
    }
    cache.advance(added);
    return logits(decoder.norm.apply(x.select(1, added - 1)));
  }

  /** Logits [..., V] in F32 from the decoder's hidden states [..., d]. */
  public Tensor logits(Tensor hidden) {
    Tensor scaled = config.tied() ? hidden.mul(1 / Math.sqrt(config.hidden())) : hidden;
    return LmLoss.logits(scaled, head.tensor());
  }

  private Tensor embed(Tensor ids) {
    return Ops.embedding(embedding.tensor(), ids).to(precision);
  }

  private void check(Tensor ids, Encoding encoding) {
    check(ids);
    if (ids.size(0) != encoding.hidden().size(0)) {
      throw new MoeException(ids.size(0) + " answers to " + encoding.hidden().size(0) + " texts");
    }
  }

  private void check(Tensor ids) {
    if (ids.dim() != 2 || ids.dtype() != DType.I64 || ids.numel() == 0) {
      throw new MoeException("token ids are " + ids + "; give I64[sequences, length]");
    }
    try (Scope scope = Scope.open();
        NoGrad off = NoGrad.open()) {
      for (long id : ids.toLongs()) {
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

  /** The shape of the model. */
  public EncoderDecoderConfig config() {
    return config;
  }

  /** The type of the activations. */
  public DType precision() {
    return precision;
  }

  /** All parameters, without those of experts that the caller holds. */
  public ParameterStore parameters() {
    return parameters;
  }

  /** The token embedding [V,d] of both sides. */
  public Parameter embedding() {
    return embedding;
  }

  /** The relative position bias of the encoder. */
  public RelativeBias encoderBias() {
    return encoder.bias;
  }

  /** The encoder's blocks. */
  public List<T5Block> encoderBlocks() {
    return encoder.blocks;
  }

  /** The norm behind the encoder's last block. */
  public RmsNorm encoderNorm() {
    return encoder.norm;
  }

  /** The relative position bias of the decoder. */
  public RelativeBias decoderBias() {
    return decoder.bias;
  }

  /** The decoder's blocks. */
  public List<T5Block> decoderBlocks() {
    return decoder.blocks;
  }

  /** The norm behind the decoder's last block. */
  public RmsNorm decoderNorm() {
    return decoder.norm;
  }

  /** The output projection [V,d]; the embedding itself if they are tied. */
  public Parameter head() {
    return head;
  }

  /** Frees the parameters; models that {@link #withPrecision} made end with this one. */
  @Override
  public void close() {
    parameters.close();
  }
}
