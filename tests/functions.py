# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator, no-any-return"
"""Forward passes in torch's words, as people write them, each with the axes of its arguments in their order."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {}


def registered_in(functions):
    """Return what registers a function with the axes of its arguments."""

    def axes(*given):
        def register(function):
            functions[function.__name__] = function, given
            return function

        return register

    return axes


axes = registered_in(FUNCTIONS)


@axes("n p", "p q", "q")
def linear(X, W, b):
    return X @ W + b


@axes("n p", "p h", "h", "h q", "q")
def mlp(X, W1, b1, W2, b2):
    H = torch.relu(X @ W1 + b1)
    return H @ W2 + b2


@axes("n h", "h h")
def deep_tanh(X, W):
    H = X
    for _ in range(6):
        H = torch.tanh(H @ W)
    return H


@axes("n h", "h h", "h h")
def residual_block(X, W1, W2):
    H = F.silu(X @ W1)
    return X + H @ W2


@axes("n p", "p h", "p h", "h p")
def swiglu(X, W, V, W2):
    gate = F.silu(X @ W)
    return (gate * (X @ V)) @ W2


@axes("n d", "n -> d")
def softmax_cross_entropy(Z, t):
    return F.cross_entropy(Z, t)


@axes("n d", "n d")
def cross_entropy_of_probabilities(Z, P):
    return -(P * torch.log_softmax(Z, dim=-1)).sum(-1).mean()


@axes("n d", "n d")
def label_smoothing(Z, P):
    smooth = 0.9 * P + 0.1 / P.shape[-1]
    loss = -(smooth * torch.log_softmax(Z, dim=-1)).sum(-1).mean()
    return loss


@axes("n d", "n d")
def mse(Y, T):
    return F.mse_loss(Y, T)


@axes("n", "n")
def huber(y, t):
    r = y - t
    small = r**2 / 2
    return torch.where(abs(r) < 1, small, abs(r) - 0.5).mean()


@axes("n", "n")
def hinge(y, t):
    return torch.relu(1 - t * y).mean()


@axes("n d", "n d")
def kl_divergence(Z, Y):
    log_p = torch.log_softmax(Z, dim=-1)
    log_q = torch.log_softmax(Y, dim=-1)
    return (torch.exp(log_p) * (log_p - log_q)).sum(-1).mean()


@axes("n d", "n d")
def info_nce(A, B):
    S = A @ B.mT / 0.5
    return (torch.logsumexp(S, -1) - (A * B).sum(-1) / 0.5).mean()


@axes("n", "n")
def focal(z, t):
    p = torch.sigmoid(z)
    return -((1 - p) ** 2 * t * torch.log(p)).mean()


@axes("n", "n")
def binary_cross_entropy(z, t):
    return (F.softplus(z) - t * z).mean()


@axes("n d", "d", "d")
def layer_norm(X, w, b):
    C = X - X.mean(-1, keepdim=True)
    r = torch.rsqrt((C**2).mean(-1, keepdim=True) + 1e-5)
    return C * r * w + b


@axes("n d", "d")
def rms_norm(X, w):
    r = torch.rsqrt((X**2).mean(-1, keepdim=True) + 1e-5)
    return X * r * w


@axes("n d", "d", "d")
def batch_norm(X, w, b):
    variance = X.var(0, correction=0, keepdim=True)
    return (X - X.mean(0, keepdim=True)) * torch.rsqrt(variance + 1e-5) * w + b


@axes("n g c")
def group_norm(X):
    m = X.mean(-1, keepdim=True)
    v = ((X - m) ** 2).mean(-1, keepdim=True)
    return (X - m) / torch.sqrt(v + 1e-5)


@axes("n d", "m d", "m v")
def attention(Q, K, V):
    A = torch.softmax(Q @ K.mT / Q.shape[-1] ** 0.5, dim=-1)
    return A @ V


@axes("b h n d", "b h m d", "b h m v")
def batched_attention(Q, K, V):
    A = torch.softmax(Q @ K.mT, dim=-1)
    return A @ V


@axes("n d", "n d", "n d", "n n")
def biased_attention(Q, K, V, B):
    A = torch.softmax(Q @ K.mT + B, dim=-1)
    return A @ V


@axes("n d", "h d c", "h d c", "h d c", "h c d")
def multi_head(X, WQ, WK, WV, WO):
    Q = torch.einsum("nd,hdc->hnc", X, WQ)
    K = torch.einsum("nd,hdc->hnc", X, WK)
    V = torch.einsum("nd,hdc->hnc", X, WV)
    A = torch.softmax(Q @ K.mT / 2, dim=-1)
    Y = A @ V
    return torch.einsum("hnc,hcd->nd", Y, WO)


@axes("n d", "m d", "m")
def additive_scores(X, W, v):
    return torch.tanh(X @ W.T) @ v


@axes("v d", "n -> v")
def embedding(W, t):
    return W[t]


@axes("v d", "n -> v", "d q")
def bag_of_words(W, t, U):
    x = W[t].mean(0)
    return x @ U


@axes("n p", "p q", "p r", "r q")
def lora(X, W, A, B):
    return X @ W + (X @ A) @ B


@axes("n p", "p q", "n q")
def bilinear(X, W, Y):
    return ((X @ W) * Y).sum(-1)


@axes("n d", "d k")
def factorization_machine(X, V):
    return ((X @ V) ** 2 - X**2 @ V**2).sum(-1) / 2


@axes("n d", "m d")
def gram_style(X, Y):
    G = X.T @ X / X.shape[0] - Y.T @ Y / Y.shape[0]
    return (G**2).sum()


@axes("n d", "k d")
def soft_k_means(X, C):
    D = (X**2).sum(-1)[:, None] - 2 * X @ C.mT + (C**2).sum(-1)
    A = torch.softmax(-D, dim=-1)
    return (A * D).sum(-1).mean()


@axes("n d", "n d", "d")
def gaussian_likelihood(X, M, s):
    return (((X - M) / s.exp()) ** 2 / 2 + s).sum(-1).mean()


@axes("n h", "p h", "h h", "h", "n p", "n p", "n p")
def rnn(H, W, U, b, X1, X2, X3):
    for X in (X1, X2, X3):
        H = torch.tanh(X @ W + H @ U + b)
    return H


@axes("n h", "n h", "n p", "p h", "h h", "p h", "h h", "p h", "h h", "p h", "h h")
def lstm_cell(H, C, X, Wi, Ui, Wf, Uf, Wg, Ug, Wo, Uo):
    i = torch.sigmoid(X @ Wi + H @ Ui)
    f = torch.sigmoid(X @ Wf + H @ Uf)
    g = torch.tanh(X @ Wg + H @ Ug)
    o = torch.sigmoid(X @ Wo + H @ Uo)
    C = f * C + i * g
    return o * torch.tanh(C)


@axes("n h", "n p", "p h", "h h", "p h", "h h", "p h", "h h")
def gru_cell(H, X, Wz, Uz, Wr, Ur, Wn, Un):
    z = torch.sigmoid(X @ Wz + H @ Uz)
    r = torch.sigmoid(X @ Wr + H @ Ur)
    c = torch.tanh(X @ Wn + (r * H) @ Un)
    return (1 - z) * c + z * H


@axes("n d")
def unit_rows(X):
    return X / torch.norm(X, dim=-1, keepdim=True)


@axes("n d", "n d")
def cosine_similarity(X, Y):
    x, y = torch.norm(X, dim=-1), torch.norm(Y, dim=-1)
    return (X * Y).sum(-1) / (x * y)


@axes("n d")
def gelu(X):
    return F.gelu(X)


@axes("n", "n")
def larger(x, y):
    return torch.maximum(x, y) * torch.minimum(x, y).square()


@axes("n")
def clamped(x):
    return torch.clamp(x, -0.5, 0.5) * x


@axes("n n")
def lower(X):
    return torch.tril(X) @ X


@axes("n", "")
def scaled(x, a):
    return a * torch.sin(x) + torch.cos(a * x)


@axes("n p", "p 1", "1")
def one_output(X, W, b):
    return torch.tanh(X @ W + b)


@axes("n d", "d c", "d c", "d c", "c d", "d h", "h d")
def transformer_block(X, WQ, WK, WV, WO, W1, W2):
    N = (X - X.mean(-1, keepdim=True)) * torch.rsqrt(X.var(-1, correction=0, keepdim=True) + 1e-5)
    Q, K, V = N @ WQ, N @ WK, N @ WV
    A = torch.softmax(torch.tril(Q @ K.mT), dim=-1)
    H = X + A @ V @ WO
    M = (H - H.mean(-1, keepdim=True)) * torch.rsqrt(H.var(-1, correction=0, keepdim=True) + 1e-5)
    return H + F.gelu(M @ W1) @ W2


@axes("n", "n n")
def pairs(x, X):
    D = x.unsqueeze(1) - x.unsqueeze(0)
    return D * X.T + x.unsqueeze(1) + X.T


@axes("n n")
def symmetric(X):
    return (X + X.T) * X


@axes("n d", "n d")
def masked(X, Y):
    mask = X > Y
    return torch.where(mask, X, 2 * Y) * mask


@axes("n d", "m d")
def distances(X, Y):
    return ((X[:, None] - Y) ** 2).sum(-1)


@axes("n d")
def running_totals(X):
    return torch.cumsum(X, 0) * torch.cumsum(X, dim=-1)


@axes("n c l", "o c k", "o")
def convolution(X, W, b):
    return torch.relu(F.conv1d(X, W, b, padding=2))


@axes("n c h w", "o c k l")
def dilated_convolution(X, W):
    return F.conv2d(X, W, padding=4, dilation=2)


@axes("n", "n")
def where_different(x, y):
    return torch.where(torch.relu(x) == 0, y, x * y) * (x != y)
