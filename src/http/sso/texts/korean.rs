//! Korean.

use super::{Labels, Text};
use crate::http::sso::page::Page;

pub(super) const LABELS: Labels = Labels {
    sign_in: "로그인",
    sign_in_again: "다시 로그인",
    another_account: "다른 계정 사용",
    try_again: "다시 시도",
    sign_out: "로그아웃",
    support: "지원팀에 문의",
    request: "요청 번호",
    reason: "사유",
};

pub(super) const fn text(page: Page) -> Text {
    match page {
        Page::LinkExpired => Text::new(
            "링크가 만료되었습니다",
            "원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요.",
        ),
        Page::LinkUsed => Text::new(
            "이미 사용한 링크입니다",
            "링크는 한 번만 사용할 수 있습니다. 원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요.",
        ),
        Page::LinkRevoked => Text::new(
            "더 이상 유효하지 않은 링크입니다",
            "링크가 만들어진 뒤에 취소되었습니다. 원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요.",
        ),
        Page::LinkTooEarly => Text::new(
            "아직 유효하지 않은 링크입니다",
            "1분 정도 기다린 뒤 애플리케이션에서 Label Studio를 다시 열어 주세요. 문제가 계속되면 서버들의 시계가 서로 다르다고 관리자에게 알려 주세요.",
        ),
        Page::LinkIncomplete => Text::new(
            "링크가 완전하지 않습니다",
            "링크를 복사했다면 전체를 복사했는지 확인해 주세요. 그렇지 않으면 원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요.",
        ),
        Page::LinkUnverified => Text::new(
            "링크를 확인할 수 없습니다",
            "원래 애플리케이션으로 돌아가서 Label Studio를 다시 열어 주세요. 문제가 계속되면 아래 요청 번호를 관리자에게 알려 주세요.",
        ),
        Page::EmailUnconfirmed => Text::new(
            "이메일 주소가 확인되지 않았습니다",
            "로그인 서비스에서 받은 확인 메일로 주소를 확인한 뒤 Label Studio를 다시 열어 주세요.",
        ),
        Page::RoleMissing => Text::new(
            "이 Label Studio에 접근할 권한이 없습니다",
            "계정에 필요한 역할이나 그룹이 없습니다. 관리자에게 요청한 뒤 다시 로그인해 주세요.",
        ),
        Page::GroupMissing => Text::new(
            "이 Label Studio에 접근할 권한이 없습니다",
            "이 Label Studio를 사용할 수 있는 그룹에 속해 있지 않습니다. 관리자에게 접근 권한을 요청한 뒤 다시 로그인해 주세요.",
        ),
        Page::ApiTokensDisabled => Text::new(
            "사용할 수 없는 토큰입니다",
            "조직에서 이 종류의 API 토큰을 사용하지 않도록 설정했습니다. 로그인 방법을 Label Studio 관리자에게 문의해 주세요.",
        ),
        Page::NoMethod => Text::new(
            "링크 로그인이 설정되어 있지 않습니다",
            "Label Studio 관리자에게 알려 주세요.",
        ),
        Page::SignInRequired => Text::new(
            "로그인이 필요합니다",
            "애플리케이션에 로그인한 뒤 Label Studio를 열어 주세요.",
        ),
        Page::UserUnknown => Text::new(
            "이 Label Studio에 접근할 권한이 없습니다",
            "등록된 계정이 없습니다. Label Studio 관리자에게 초대를 요청해 주세요.",
        ),
        Page::UserInactive => Text::new(
            "비활성화된 계정입니다",
            "Label Studio 관리자에게 계정 활성화를 요청해 주세요.",
        ),
        Page::UserRemoved => Text::new(
            "더 이상 이 조직의 구성원이 아닙니다",
            "Label Studio 관리자에게 다시 초대해 달라고 요청해 주세요.",
        ),
        Page::UserPrivileged => Text::new(
            "관리자 계정은 이 방법으로 로그인할 수 없습니다",
            "이 애플리케이션은 Label Studio 관리자 권한이 있는 계정으로 로그인할 수 없습니다. 비밀번호로 Label Studio에 로그인하거나 Label Studio 관리자에게 문의해 주세요.",
        ),
        Page::AdministratorForm => Text::new(
            "관리자는 비밀번호로 로그인해 주세요",
            "Label Studio 관리자 권한이 있는 계정은 조직의 로그인으로 들어올 수 없습니다. Label Studio 자체 로그인 화면을 이용해 주세요.",
        ),
        Page::UserNotUpdated => Text::new(
            "계정 정보를 변경할 수 없습니다",
            "계정의 권한이 변경되었습니다. 아래 요청 번호를 Label Studio 관리자에게 알려 주세요.",
        ),
        Page::UserNotCreated => Text::new(
            "계정을 만들 수 없습니다",
            "아래 요청 번호를 Label Studio 관리자에게 알려 주세요.",
        ),
        Page::Blocked => Text::new(
            "요청이 차단되었습니다",
            "사용자를 대신해 작업할 권한이 없는 페이지에서 보낸 요청입니다. Label Studio를 직접 열어 주세요. 사용 중인 애플리케이션의 페이지라면 관리자에게 알려 주세요.",
        ),
        Page::UsernameProtected => Text::new(
            "여기서는 계정을 변경할 수 없습니다",
            "조직의 로그인이 이 Label Studio의 사용자 이름을 기준으로 하기 때문입니다. 변경이 필요하면 관리자에게 문의해 주세요.",
        ),
        Page::NotUnderstood => Text::new(
            "요청을 이해할 수 없습니다",
            "주소를 확인하거나 이전 페이지로 돌아가 다시 시도해 주세요. 문제가 계속되면 아래 요청 번호를 관리자에게 알려 주세요.",
        ),
        Page::IdentityUnclear => Text::new(
            "요청에 여러 사용자가 지정되어 있습니다",
            "아래 요청 번호를 관리자에게 알려 주세요.",
        ),
        Page::CookiesTooLong => Text::new(
            "브라우저가 보낸 쿠키가 너무 많습니다",
            "이 사이트의 쿠키를 삭제한 뒤 Label Studio를 다시 열어 주세요.",
        ),
        Page::ConfirmSignOut => Text::new(
            "Label Studio에서 로그아웃할까요?",
            "다른 사이트의 링크를 통해 들어오셨습니다. 버튼을 누르면 세션이 종료됩니다.",
        ),
        Page::SignedOut => Text::new("로그아웃되었습니다", "Label Studio 세션이 종료되었습니다."),
        Page::SignInUnknown => Text::new(
            "로그인 시간이 지났습니다",
            "10분이 넘게 걸렸거나, 이미 완료되었거나, 다른 브라우저에서 시작한 로그인입니다. 다시 로그인해 주세요.",
        ),
        Page::SignInDeclined => Text::new(
            "로그인되지 않았습니다",
            "로그인이 취소되었거나 Label Studio를 사용할 수 없는 계정입니다. 다시 로그인하거나 관리자에게 권한을 요청해 주세요.",
        ),
        Page::SignInInteraction => Text::new(
            "로그인이 필요합니다",
            "Label Studio를 열려면 로그인해 주세요.",
        ),
        Page::SignInInWindow => Text::new(
            "로그인이 필요합니다",
            "Label Studio를 열려면 로그인해 주세요. 로그인 창이 새로 열립니다.",
        ),
        Page::SignedIn => Text::new(
            "로그인되었습니다",
            "이 창은 자동으로 닫힙니다. 닫히지 않으면 창을 닫고 Label Studio가 있는 페이지를 다시 열어 주세요.",
        ),
        Page::SignInTooWeak => Text::new(
            "본인 확인이 필요합니다",
            "로그인한 지 너무 오래되었거나 Label Studio에서 요구하는 방식으로 로그인하지 않았습니다. 다시 로그인해 주세요. 문제가 계속되면 관리자에게 알려 주세요.",
        ),
        Page::SignInUnverified => Text::new(
            "로그인을 확인할 수 없습니다",
            "다시 로그인해 주세요. 문제가 계속되면 아래 요청 번호를 관리자에게 알려 주세요.",
        ),
        Page::SignInFailed => Text::new(
            "로그인하지 못했습니다",
            "로그인 서비스에서 오류가 발생했습니다. 다시 로그인해 주세요. 문제가 계속되면 아래 요청 번호를 관리자에게 알려 주세요.",
        ),
        Page::SignInTryAgain => Text::new(
            "로그인 서비스가 혼잡합니다",
            "지금은 로그인할 수 없습니다. 1분 후에 다시 시도해 주세요.",
        ),
        Page::SignInLoops => Text::new(
            "브라우저에 로그인이 유지되지 않습니다",
            "여러 번 로그인했지만 브라우저가 매번 세션 없이 돌아왔습니다. 이 사이트의 쿠키를 허용한 뒤 다시 로그인해 주세요. 문제가 계속되면 관리자에게 알려 주세요.",
        ),
        Page::TooManySignIns => Text::new(
            "로그인 시도가 너무 많습니다",
            "사용 중인 네트워크에서 지난 1분 동안 로그인을 너무 많이 시도했습니다. 1분 후에 다시 시도해 주세요. 문제가 계속되면 관리자에게 알려 주세요.",
        ),
        Page::ChooseProvider => Text::new("Label Studio 로그인", "계정이 있는 곳을 선택해 주세요."),
        Page::ProviderUnavailable => Text::new(
            "지금은 로그인할 수 없습니다",
            "로그인 서비스가 응답하지 않습니다. 잠시 후 다시 시도해 주세요. 문제가 계속되면 관리자에게 알려 주세요.",
        ),
        Page::ProviderRefuses => Text::new(
            "지금은 로그인할 수 없습니다",
            "로그인 서비스가 Label Studio를 받아들이지 않습니다. 아래 요청 번호를 관리자에게 알려 주세요.",
        ),
        Page::Unavailable => Text::new(
            "지금은 로그인할 수 없습니다",
            "잠시 후 다시 시도해 주세요. 문제가 계속되면 관리자에게 알려 주세요.",
        ),
        Page::ApplicationUnavailable => Text::new(
            "지금은 로그인할 수 없습니다",
            "연결된 애플리케이션이 응답하지 않습니다. 잠시 후 다시 시도해 주세요. 문제가 계속되면 관리자에게 알려 주세요.",
        ),
        Page::Overloaded => Text::new(
            "로그인 요청이 많습니다",
            "지금 로그인하는 사용자가 너무 많습니다. 몇 초 후 다시 시도해 주세요.",
        ),
    }
}
